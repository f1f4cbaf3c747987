"""Prints messages instead of sending them: for a first look and for development."""

import sys

from sales import sms


class Gateway(sms.Gateway):
    def send(self, message):
        print(f"短信 {message.phone}：{message.content}", file=sys.stderr, flush=True)
        return sms.Outcome(sms.SENT, number=message.out_id)
