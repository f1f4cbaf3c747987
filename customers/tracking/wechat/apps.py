from django.apps import AppConfig


class WechatConfig(AppConfig):
    name = "customers.tracking.wechat"
    label = "wechat"
    verbose_name = "企业微信库"
