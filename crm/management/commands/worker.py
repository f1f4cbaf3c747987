from django.core.management.base import BaseCommand
from django_q.conf import Conf

from crm.jobs import pool


class Command(BaseCommand):
    help = "执行后台任务和定时任务，直到收到停止信号；可在多台机器上同时运行"

    def add_arguments(self, parser):
        parser.add_argument("--processes", type=int, default=Conf.WORKERS, help="进程数，默认取 WORKERS")

    def handle(self, *args, processes, **options):
        pool.serve(max(1, processes))
