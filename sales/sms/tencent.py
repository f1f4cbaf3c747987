"""Tencent Cloud SMS (API 2021-01-11) through its maintained SDK. Templates and signatures are registered there first.

Our id travels as ``SessionContext``, by which a message whose answer got lost is found again. That an id is *not* found
proves nothing (reports take up to three days), so that such a message stays unknown and is not sent a second time.
"""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from django.conf import settings
from django.utils import timezone

from sales import sms

VERSION, SECONDS, MOST = "2021-01-11", 15, 100
REACH = timedelta(days=7)  # as far back as reports may be asked for
# what the provider refuses for now, without having sent anything
FOR_NOW = (
    "RequestLimitExceeded",
    "AuthFailure",
    "UnauthorizedOperation",
    "FailedOperation.InsufficientBalanceInSmsPackage",
    "LimitExceeded.DailyLimit",
)


class Gateway(sms.Gateway):
    def __init__(self):
        # not needed, and not loaded, by those who send through somebody else
        from tencentcloud.common.common_client import CommonClient
        from tencentcloud.common.credential import Credential
        from tencentcloud.common.profile.client_profile import ClientProfile
        from tencentcloud.common.profile.http_profile import HttpProfile

        super().__init__()
        self.needs_template = True
        address = urlsplit(settings.TENCENT_SMS_ENDPOINT)
        http = HttpProfile(protocol=address.scheme, endpoint=address.netloc, reqTimeout=SECONDS, keepAlive=True)
        self._client = CommonClient(
            "sms",
            VERSION,
            Credential(settings.TENCENT_SMS_SECRET_ID, settings.TENCENT_SMS_SECRET_KEY),
            settings.TENCENT_SMS_REGION,
            ClientProfile(httpProfile=http),
        )

    def _call(self, action, **parameters):
        return self._client.call_json(action, {"SmsSdkAppId": settings.TENCENT_SMS_APP_ID, **parameters})["Response"]

    def send(self, message):
        from tencentcloud.common.exception import TencentCloudSDKException

        try:
            answer = self._call(
                "SendSms",
                PhoneNumberSet=[message.phone],
                SignName=message.signature,
                TemplateId=message.template,
                TemplateParamSet=list(message.parameters),
                SessionContext=message.out_id,
            )
        except TencentCloudSDKException as error:
            return _refusal(error)
        status = answer["SendStatusSet"][0]
        if status["Code"] == "Ok":
            return sms.Outcome(sms.SENT, number=status["SerialNo"])
        result = sms.RETRY if status["Code"].startswith(FOR_NOW) else sms.FAILED
        return sms.Outcome(result, error=f"{status['Message']}（{status['Code']}）")

    def lookup(self, message):
        from tencentcloud.common.exception import TencentCloudSDKException

        now = timezone.now()
        since = max(message.tried_at or now - REACH, now - REACH) - timedelta(minutes=5)
        try:
            answer = self._call(
                "PullSmsSendStatusByPhoneNumber",
                PhoneNumber=message.phone,
                BeginTime=int(max(since, now - REACH).timestamp()),
                EndTime=int(now.timestamp()),
                Offset=0,
                Limit=MOST,
            )
        except TencentCloudSDKException:
            return None
        for status in answer["PullSmsSendStatusSet"]:
            if status["SessionContext"] == message.out_id:
                report = _report(status)
                return sms.Outcome(sms.SENT if report.arrived else sms.FAILED, number=report.number, error=report.error)
        return None

    def reports(self):
        return [_report(status) for status in self._pull("PullSmsSendStatus", "PullSmsSendStatusSet")]

    def replies(self):
        return [
            sms.Reply(status["PhoneNumber"], status["ReplyContent"], _moment(status["ReplyTime"]))
            for status in self._pull("PullSmsReplyStatus", "PullSmsReplyStatusSet")
        ]

    def _pull(self, action, name) -> list:
        """One page: the provider forgets what it handed out, so that it is stored before the next is asked for."""
        return self._call(action, Limit=MOST)[name] or []


def _refusal(error) -> sms.Outcome:
    """What an error of the whole request means for its message."""
    code, words = error.get_code() or "", f"{error.get_message()}（{error.get_code()}）"
    if code == "ClientNetworkError":
        return sms.Outcome(sms.RETRY if _never_connected(error) else sms.UNKNOWN, error=words)
    if code.startswith(FOR_NOW):
        return sms.Outcome(sms.RETRY, error=words)
    if code.startswith(("InternalError", "ServerNetworkError", "Client")):
        return sms.Outcome(sms.UNKNOWN, error=words)
    return sms.Outcome(sms.FAILED, error=words)


def _never_connected(error) -> bool:
    """Whether the request has not left this machine."""
    from requests import exceptions
    from urllib3.exceptions import NewConnectionError

    cause = error.__context__
    reason = getattr(cause.args[0], "reason", None) if getattr(cause, "args", None) else None
    return isinstance(cause, exceptions.ConnectTimeout) or isinstance(reason, NewConnectionError)


def _report(status) -> sms.Report:
    arrived = status["ReportStatus"] == "SUCCESS"
    return sms.Report(
        number=status["SerialNo"],
        arrived=arrived,
        at=_moment(status["UserReceiveTime"] or 0),
        error="" if arrived else status["Description"],
    )


def _moment(seconds) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)
