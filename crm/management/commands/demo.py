import os
import time
from unicodedata import east_asian_width

from django.core.management.base import BaseCommand, CommandError
from django.utils.module_loading import autodiscover_modules

from crm import demo
from crm.management.commands.serve import address


class Command(BaseCommand):
    help = "在空系统里建立演示公司（部门、人员、客户），并列出可以登录的账号；已有用户时不改动任何数据"

    def add_arguments(self, parser):
        parser.add_argument("--customers", type=int, default=2000, help="客户数量（默认 2000）")

    def handle(self, *args, customers, **options):
        if customers < 1:
            raise CommandError("客户数量至少为 1。")
        if demo.in_use():
            self.stdout.write("系统里已有用户，没有添加演示数据。")
        else:
            self.build(customers)
        self.introduce()

    def build(self, customers):
        self.stdout.write(f"正在建立演示公司（{customers:,} 个客户），请稍候……")
        started = time.monotonic()
        autodiscover_modules("demo")
        counts = demo.build(customers=customers)
        listed = "、".join(f"{name} {number:,}" for name, number in counts.items())
        self.stdout.write(self.style.SUCCESS(f"演示数据已就绪，用时 {time.monotonic() - started:.1f} 秒：{listed}"))

    def introduce(self):
        """The address, and a table of the demo accounts that still have their first password."""
        rows = demo.accounts()
        if not rows:
            return
        host, port = os.environ.get("HOST", "127.0.0.1"), os.environ.get("PORT", 8000)
        self.stdout.write(f"\n地址：{address(host, port)}")
        table = [("角色", "用户名", "密码", "姓名", "可以看到")]
        table += [(role, username, demo.PASSWORD, name, sees) for role, username, name, sees in rows]
        widths = [max(map(display_width, column)) for column in zip(*table, strict=True)]
        for row in table:
            cells = (cell + " " * (width - display_width(cell)) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  " + "  ".join(cells).rstrip())
        self.stdout.write("其他演示账号见“系统管理 › 用户”，密码相同。正式使用前请停用或修改密码。\n")


def display_width(text):
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)
