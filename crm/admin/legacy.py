"""Moving in from an old system: where to start it, what it would do, what it has done."""

from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpResponseNotAllowed, HttpResponseRedirect
from django.urls import path, reverse
from unfold.widgets import UnfoldAdminFileFieldWidget, UnfoldAdminPasswordWidget

from crm import files
from crm.admin.base import ModelAdmin, ReadOnly, display
from crm.admin.page_forms import field
from crm.legacy import moves, sources
from crm.legacy.load import WORDS
from crm.models import LegacyLoad

STATE_LABELS = {"已迁入": "success", "失败": "danger", "待迁入": "warning"}
MAX_BYTES = 2 << 30


class MoveForm(forms.Form):
    system = field(forms.ChoiceField, "旧系统", choices=moves.systems, help_text="不确定就选自动识别：按表名和列名认。")
    file = forms.FileField(
        label="转储文件",
        required=False,
        widget=UnfoldAdminFileFieldWidget,
        help_text=".sql 或 .sql.gz，Navicat、SQLyog、mysqldump 导出的都可以，UTF-8 或 GBK。",
    )
    host = field(
        forms.CharField,
        "或旧数据库地址",
        help_text="例如 192.168.1.5:3306/crm，几个库用空格隔开；只读取，不会改动旧库。",
    )
    user = field(forms.CharField, "数据库账号", help_text="只要有读取权限。")
    password = forms.CharField(label="数据库密码", required=False, widget=UnfoldAdminPasswordWidget)

    files = field(
        forms.ChoiceField,
        "附件文件夹",
        choices=moves.file_folders,
        help_text="旧服务器上的附件：拷到本机 LEGACY_FILES_DIR 的一个子目录，在这里选它。也可以以后再迁一次补上。",
    )
    strangers = field(
        forms.BooleanField,
        "找不到客户的服务：按名称新建客户",
        help_text="Java CRM 的服务只写了客户名称。不选：找不到的不迁，逐条列出。",
    )

    def clean(self):
        given = super().clean()
        file, host = given.get("file"), given.get("host")
        if bool(file) == bool(host):
            raise forms.ValidationError("请上传转储文件，或填写旧数据库地址：二者选一。")
        if file and file.size > MAX_BYTES:
            raise forms.ValidationError({"file": "文件超过 2 GB，请在服务器上用 manage.py load_legacy 迁入。"})
        if host and not all("/" in each for each in host.split()):
            raise forms.ValidationError({"host": "地址里要有数据库名，例如 192.168.1.5:3306/crm。"})
        return given

    def source(self) -> tuple[str, str]:
        """What to read, and its name for people."""
        given = self.cleaned_data
        if given.get("host"):
            login = given.get("user", ""), given.get("password", "")
            urls = "\n".join(sources.address(host, *login) for host in given["host"].split())
            return urls, sources.shown(urls)
        target = moves.folder() / f"{uuid4().hex}.sql"
        with target.open("wb") as kept:
            for block in given["file"].chunks():
                kept.write(block)
        return str(target), given["file"].name


@admin.register(LegacyLoad)
class LegacyLoadAdmin(ReadOnly, ModelAdmin):
    nav_icon, nav_order, nav_group = "move_to_inbox", 40, "数据与任务"
    list_display = ["source", "system", "state_name", "user", "created_at", "finished_at"]
    list_select_related = ["user"]
    list_filter = ["state", "system"]
    head_template = None
    empty_hint = "还没有从旧系统迁入过。点右上角“新的迁入”，先试运行，看清楚再迁入。"

    def changelist_view(self, request, extra_context=None):
        return super().changelist_view(request, {"may_move": self.may_move(request), **(extra_context or {})})

    def may_move(self, request):
        return self.policy.allows(request.user, "add")

    @display(description="状态", label=STATE_LABELS)
    def state_name(self, obj):
        return obj.get_state_display()

    def get_urls(self):
        view = self.admin_site.admin_view
        return [
            path("new/", view(self.new_view), name="crm_legacyload_new"),
            path("<int:object_id>/confirm/", view(self.confirm_view), name="crm_legacyload_confirm"),
            *super().get_urls(),
        ]

    def new_view(self, request):
        if not self.may_move(request):
            raise PermissionDenied
        form = MoveForm(request.POST or None, request.FILES or None)
        if request.method == "POST" and form.is_valid():
            source, name = form.source()
            given = form.cleaned_data
            choices = {"files": moves.folder_named(given["files"]), "strangers": given["strangers"]}
            load = moves.begin(source, by=request.user, system=given["system"], name=name, **choices)
            messages.success(request, "开始读取并试运行，不会改动任何数据；完成后在这里看结果。")
            return HttpResponseRedirect(self.address_of(load))
        return self.page(request, "crm/legacy/new.html", {"title": "从旧系统迁入", "form": form})

    def confirm_view(self, request, object_id):
        load = self.visible_object(request, str(object_id))
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        try:
            moves.confirm(load, by=request.user)
        except moves.MoveRefused as error:
            messages.error(request, str(error))
        return HttpResponseRedirect(self.address_of(load))

    def change_view(self, request, object_id, form_url="", extra_context=None):
        load = self.visible_object(request, object_id)
        stored = files.find(request.user, load.workbook_id) if load.workbook_id else None
        context = {
            "title": str(load),
            "load": load,
            "report": load.report,
            "outcomes": list(WORDS.items()),
            "tables": [
                {**table, "counts": [table[outcome] for outcome in WORDS]} for table in load.report.get("tables", ())
            ],
            "may_move": self.may_move(request),
            "may_load": self.may_move(request) and load.state in moves.DONE,
            "download": stored and files.url_of(stored),
        }
        return self.page(request, "crm/legacy/detail.html", context)

    @staticmethod
    def address_of(load):
        return reverse("admin:crm_legacyload_change", args=[load.pk])
