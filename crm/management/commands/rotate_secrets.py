from cryptography.fernet import Fernet
from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from crm import secrets
from crm.fields import EncryptedField

BATCH = 500


class Command(BaseCommand):
    help = "更换加密密钥，并用新密钥重新加密数据库里的全部密钥；期间照常可以使用"

    def add_arguments(self, parser):
        parser.add_argument(
            "--drop-old", action="store_true", help="不生成新密钥；全部用现有的新密钥加密后，删掉旧密钥"
        )

    def handle(self, *args, drop_old, **options):
        in_file = not settings.ENCRYPTION_KEYS
        try:
            if in_file and not drop_old:
                known = secrets.keys() if settings.ENCRYPTION_KEYS_FILE.exists() else []
                secrets.write_keys([Fernet.generate_key().decode(), *known])
            newest, old = secrets.keys()[0], len(secrets.keys()) - 1
            count = sum(reseal(model, field) for model, field in encrypted_fields())
        except secrets.Unreadable as error:
            raise CommandError(f"有密钥无法解密，没有删除任何旧密钥。{error}") from error
        self.stdout.write(f"重新加密了 {count} 个密钥。")
        if drop_old and in_file:
            secrets.write_keys([newest])
            self.stdout.write(f"删除了 {old} 个旧密钥；更早的数据库备份要用它们才能恢复。")
        elif in_file and old:
            self.stdout.write(f"保留了 {old} 个旧密钥；确认无误后可用 --drop-old 删除。")
        elif old:
            self.stdout.write("现在可以从 ENCRYPTION_KEYS 里只保留第一个密钥，再重启。")


def encrypted_fields():
    return [
        (model, field)
        for model in apps.get_models()
        for field in model._meta.concrete_fields
        if isinstance(field, EncryptedField)
    ]


def reseal(model, field) -> int:
    """Seal every secret in ``field`` with the newest key; gives how many needed it.

    Not through ``save()``: nothing that a person can mean changes, so there is no version and no log entry. A row that
    changes meanwhile is left to the next round, which is why the rounds go on until nothing old is found.
    """
    count = 0
    while old := _outdated(model, field):
        for pk, secret in old:
            row = model._base_manager.filter(pk=pk, **{field.attname: secret})
            count += row.update(**{field.attname: secret.resealed()})
    return count


def _outdated(model, field):
    found, last = [], 0
    rows = model._base_manager.order_by("pk").values_list("pk", field.attname)
    while chunk := list(rows.filter(pk__gt=last)[:BATCH]):
        last = chunk[-1][0]
        found += [(pk, secret) for pk, secret in chunk if secret and not secret.is_current]
    return found
