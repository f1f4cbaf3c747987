"""Keeps messages in this process, for tests; it knows for sure what it got."""

from sales import sms

outbox: list[sms.Message] = []
refused: dict[str, sms.Outcome] = {}  # what numbers get instead
waiting_reports: list[sms.Report] = []
waiting_replies: list[sms.Reply] = []


def clear():
    for kept in (outbox, refused, waiting_reports, waiting_replies):
        kept.clear()


class Gateway(sms.Gateway):
    def send(self, message):
        if message.phone in refused:
            return refused[message.phone]
        outbox.append(message)
        return sms.Outcome(sms.SENT, number=f"memory-{message.out_id}")

    def lookup(self, message):
        if any(kept.out_id == message.out_id for kept in outbox):
            return sms.Outcome(sms.SENT, number=f"memory-{message.out_id}")
        return sms.Outcome(sms.NOT_RECEIVED)

    def reports(self):
        found = list(waiting_reports)
        waiting_reports.clear()
        return found

    def replies(self):
        found = list(waiting_replies)
        waiting_replies.clear()
        return found
