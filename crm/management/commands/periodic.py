from django.core.management.base import BaseCommand, CommandError

from crm.jobs import execute, start
from crm.jobs.registry import all_periodic
from crm.models import Job


class Command(BaseCommand):
    help = "立即执行一项定时任务；不写名称则列出全部"

    def add_arguments(self, parser):
        parser.add_argument("name", nargs="?")
        parser.add_argument("--dry-run", action="store_true", help="只列出将要做什么，不改动数据")

    def handle(self, *args, name, dry_run, **options):
        registered = all_periodic()
        if name is None:
            for work in registered.values():
                when = f"每天 {work.daily:%H:%M}" if work.daily else f"每 {work.minutes} 分钟"
                self.stdout.write(f"{work.name}\t{when}\t{work.title}")
        elif name not in registered:
            raise CommandError(f"没有定时任务“{name}”，可选：{'、'.join(registered)}。")
        elif dry_run:
            for line in registered[name].preview():
                self.stdout.write(line)
        else:
            self.run(name)

    def run(self, name):
        """Here and now, under the same lease as the workers: it never runs twice at once."""
        job = start(name)
        execute(job.pk)
        job.refresh_from_db()
        if job.state == Job.State.FAILED:
            raise CommandError(f"{job.message}\n{job.error}")
        self.stdout.write(f"{job.title}：{job.get_state_display()}。{job.message}")
