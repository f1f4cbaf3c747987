"""What is wrong with the settings of attachments, said at the start."""

import shlex
import shutil

from django.conf import settings
from django.core.checks import Error, Warning, register
from django.utils.module_loading import import_string

from crm.attachments.scanner import is_command
from crm.attachments.types import TYPES


@register()
def check_scanner(app_configs, **kwargs):
    scanner = settings.ATTACHMENT_SCANNER
    if not scanner or _exists(scanner):
        return []
    hint = "填写函数的路径（模块.函数），或带 {path} 的命令，例如：clamdscan --no-summary --fdpass {path}。"
    return [Error(f"ATTACHMENT_SCANNER 指定的扫描程序不存在：{scanner}", hint=hint, id="crm.E031")]


def _exists(scanner) -> bool:
    try:
        if is_command(scanner):
            return shutil.which(shlex.split(scanner)[0]) is not None
        return callable(import_string(scanner))
    except (ImportError, ValueError, IndexError):
        return False


@register()
def check_types(app_configs, **kwargs):
    unknown = [extension for extension in settings.ATTACHMENT_TYPES if extension not in TYPES]
    if not unknown:
        return []
    hint = f"认得的类型：{'、'.join(TYPES)}。"
    message = f"ATTACHMENT_TYPES 里有不认得的类型，不会接收：{'、'.join(unknown)}"
    return [Warning(message, hint=hint, id="crm.W032")]
