from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from crm import jobs
from crm.legacy import moves, report, sources, tables
from crm.models import LegacyLoad


class Command(BaseCommand):
    help = "从旧系统迁入：先试运行，加 --apply 才写入；可以重复执行，不会重复新建"

    def add_arguments(self, parser):
        parser.add_argument("system", choices=[*tables.systems()], help="旧系统")
        parser.add_argument(
            "source", nargs="+", help="mysql:// 地址、.sql 或 .sql.gz 转储文件，或放着这些文件的目录；可以有几个"
        )
        parser.add_argument("--user", default="", help="以谁的名义迁入（账号），默认是最早的超级管理员")
        parser.add_argument(
            "--files", default="", metavar="文件夹", help="从旧服务器拷来的附件，按名称和路径挂到客户上"
        )
        parser.add_argument(
            "--new-customers", action="store_true", help="找不到客户的服务：按名称新建客户（默认不迁、列出）"
        )
        parser.add_argument("--apply", action="store_true", help="试运行之后写入")

    def handle(self, *args, system, source, user, apply, files, new_customers, **options):
        people = get_user_model().objects.filter(is_active=True).order_by("pk")
        person = people.filter(username=user).first() if user else people.filter(is_superuser=True).first()
        if person is None:
            raise CommandError(
                f"没有启用的账号“{user}”。"
                if user
                else "没有启用的超级管理员：请先执行 manage.py createsuperuser，或用 --user 指定账号。"
            )
        source = "\n".join(source)
        choices = {"files": files, "strangers": new_customers}
        try:
            load = moves.begin(source, by=person, system=system, name=sources.shown(source), **choices)
        except moves.MoveRefused as error:
            raise CommandError(str(error)) from error
        self._finish(load, "试运行")
        if apply:
            moves.confirm(load, by=person)
            self._finish(load, "迁入")

    def _finish(self, load, what):
        jobs.execute(load.job_id)
        load = LegacyLoad.objects.select_related("job").get(pk=load.pk)
        if load.state not in moves.DONE:
            raise CommandError(load.message or load.job.message or f"{what}没有完成。")
        self.stdout.write(self.style.MIGRATE_HEADING(what))
        for line in report.lines(load.report):
            self.stdout.write(line)
