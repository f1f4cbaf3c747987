"""Prove that owner columns and row grants agree."""

from django.core.management.base import BaseCommand

from crm import ownership

SHOWN = 20


class Command(BaseCommand):
    help = "检查每条记录的负责人与行权限是否一致；--fix 按负责人补齐。不一致时返回 1。"

    def add_arguments(self, parser):
        parser.add_argument("--fix", action="store_true", help="补上缺少的行权限，删除多余的")

    def handle(self, *args, fix=False, **options):
        wrong = 0
        for model in ownership.owned_models():
            wrong += self.report(model)
            if fix:
                mended, removed = ownership.repair(model)
                self.stdout.write(f"{model._meta.verbose_name}：补齐 {mended} 条记录，删除 {removed} 条多余的权限。")
        if wrong and not fix:
            self.stdout.write(f"共 {wrong} 处不一致，可用 manage.py check_grants --fix 修复。")
            raise SystemExit(1)
        if not wrong:
            self.stdout.write("负责人与行权限一致。")

    def report(self, model) -> int:
        """List where ``model`` disagrees; gives how many places that are."""
        found = ownership.disagreements(model)
        name = model._meta.verbose_name
        missing, stray = found["missing"], found["stray"]
        for obj in missing.select_related("owner")[:SHOWN]:
            self.stdout.write(f"{name} {obj.pk}“{obj}”：负责人“{obj.owner}”缺少行权限")
        for grant in stray.select_related("user", "content_object", "permission")[:SHOWN]:
            self.stdout.write(f"{name} {grant.content_object_id}“{grant.content_object}”：“{grant.user}”有多余的行权限")
        for rows in (missing, stray):
            if (more := rows.count() - SHOWN) > 0:
                self.stdout.write(f"{name}：还有 {more} 处")
        return missing.count() + stray.count()
