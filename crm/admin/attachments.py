"""Attachments on the page of their record: several at once, thumbnails, download, and a page for each."""

from django.conf import settings
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import path, reverse
from django.utils import timezone
from django.utils.html import format_html
from unfold.utils import display_for_label

from crm import audit, trails
from crm.admin.base import ModelAdmin, ReadOnly, TabularInline, display
from crm.admin.filters import ChoiceFilter, DictionaryFilter, RangeDateTimeFilter
from crm.admin.forms import RecordForm
from crm.attachments import Refused, receive, serving, store, types
from crm.attachments.uploads import allowed, clean_name, extension_of, may_attach, parent_field
from crm.models import DictionaryItem, Operation
from crm.policies import policy_for

MAX_FILES = 20
STATE_LABELS = {"正常": "success", "废弃": "danger"}
PAGES = {store.PREVIEW: "preview", store.THUMBNAIL: "thumbnail"}


class AttachmentForm(RecordForm):
    def clean_name(self):
        """The extension stays: it says what the content was checked to be."""
        name = clean_name(self.cleaned_data["name"])
        extension = self.instance.extension
        if extension_of(name) != extension:
            name = clean_name(f"{name}.{extension}")
        if name.startswith("."):
            raise ValidationError("请填写文件名。")
        return name


class AttachmentColumns:
    """What lists, tabs and pages show of an attachment."""

    def _page(self, name, obj):
        return reverse(f"admin:{self.opts.app_label}_{self.opts.model_name}_{name}", args=[obj.pk])

    @display(description="预览")
    def thumbnail(self, obj):
        if not obj.has_preview:
            return format_html('<span class="ky-file">{}</span>', obj.extension)
        return format_html(
            '<a href="{}" target="_blank" rel="noopener">'
            '<img class="ky-thumbnail" src="{}" alt="{}" loading="lazy"></a>',
            self._page("preview", obj),
            self._page("thumbnail", obj),
            f"{obj.name}的预览图",
        )

    @display(description="文件", ordering="name")
    def link(self, obj):
        return format_html(
            '<span class="ky-filename"><a href="{}" download>{}</a><span class="ky-muted">{}，{}</span></span>',
            self._page("download", obj),
            obj.name,
            types.TYPES[obj.extension].label if obj.extension in types.TYPES else obj.extension,
            filesizeformat(obj.size),
        )

    @display(description="大小", ordering="size")
    def size_text(self, obj):
        return filesizeformat(obj.size)

    @display(description="状态", ordering="state", label=STATE_LABELS)
    def state_name(self, obj):
        return obj.get_state_display()

    @display(description="上传")
    def uploaded(self, obj):
        when = timezone.localtime(obj.created_at)
        return format_html("{}<br>{}", obj.created_by or "系统", when.strftime("%Y-%m-%d %H:%M"))


class AttachmentInline(ReadOnly, AttachmentColumns, TabularInline):
    """The tab of a record: its attachments and the place to add more.

    Nothing in it is part of the record's form, which may have to wait for an approval: files come in by their own form,
    and are described, discarded and removed on their own page.
    """

    verbose_name_plural = "附件"
    fields = readonly_fields = ["thumbnail", "link", "kind", "state_label", "uploaded", "remark", "more"]
    template_before = "crm/attachments/upload.html"
    template_outside = "crm/attachments/upload_form.html"

    class Media:
        js = ["crm/attachments.js"]

    def get_queryset(self, request):
        rows = super().get_queryset(request).select_related("kind", "created_by")
        return rows.order_by("state", "-id")

    def get_formset(self, request, obj=None, **kwargs):
        formset = super().get_formset(request, obj, **kwargs)
        formset.upload = self._upload(request, obj)
        return formset

    def _upload(self, request, obj):
        """What the upload box needs; None for those who may not add to ``obj``."""
        if obj is None or not self._may_touch(request, "add", obj):
            return None
        name = f"admin:{self.opts.app_label}_{self.opts.model_name}_upload"
        return {
            "url": reverse(name, args=[obj.pk]),
            "form": f"{self.opts.model_name}_upload",
            "accept": ",".join(f".{extension}" for extension in allowed()),
            "extensions": "、".join(allowed()),
            "limit": settings.ATTACHMENT_MAX_BYTES,
            "max_files": MAX_FILES,
            "kinds": _kinds(),
        }

    @display(description="状态")
    def state_label(self, obj):
        return display_for_label(obj.get_state_display(), "", STATE_LABELS)

    @display(description="")
    def more(self, obj):
        return format_html('<a class="ky-more" href="{}">更多</a>', self._page("change", obj))


class AttachmentAdmin(AttachmentColumns, ModelAdmin):
    """The list of all attachments within reach and the page of each."""

    form = AttachmentForm
    nav_icon = "attach_file"
    head_labels = ("state_name",)
    search_fields = ["name"]
    search_help_text = "文件名"
    list_filter = [
        ("kind", DictionaryFilter),
        ("state", ChoiceFilter),
        ("created_at", RangeDateTimeFilter),
    ]
    fieldsets = [
        (None, {"fields": ["link", "picture", ("name", "kind"), "remark", ("uploaded", "digest"), "is_closed"]})
    ]
    readonly_fields = ["link", "picture", "uploaded", "digest"]
    ordering = ["-id"]

    @property
    def parent_field(self):
        return parent_field(self.model)

    def get_list_display(self, request):
        return ["thumbnail", "name", self.parent_field, "kind", "size_text", "state_name", "created_by", "created_at"]

    def get_list_display_links(self, request, list_display):
        return ["name"]

    def get_queryset(self, request):
        return super().get_queryset(request).select_related(self.parent_field, "kind", "created_by")

    def has_add_permission(self, request):
        """Files come in on the page of their record."""
        return False

    def get_urls(self):
        name = f"{self.opts.app_label}_{self.opts.model_name}"
        view = self.admin_site.admin_view
        pictures = [
            path(f"<path:object_id>/{page}/", view(self._picture_view(part)), name=f"{name}_{page}")
            for part, page in PAGES.items()
        ]
        return [
            path(f"upload/<int:{self.parent_field}>/", view(self.upload_view), name=f"{name}_upload"),
            path("<path:object_id>/download/", view(self.download_view), name=f"{name}_download"),
            *pictures,
            *super().get_urls(),
        ]

    @display(description="图片")
    def picture(self, obj):
        if not obj.has_preview:
            return "没有预览图，请下载后查看。"
        return format_html(
            '<img class="ky-preview" src="{}" alt="{}">', self._page("preview", obj), f"{obj.name}的预览图"
        )

    # --- Pages -------------------------------------------------------------------------------------------------------

    def download_view(self, request, object_id):
        attachment = self.visible_object(request, object_id)
        response = serving.download(attachment)
        audit.record(attachment, Operation.EXPORT, remark="下载附件")
        trails.note(request, trails.Kind.DOWNLOAD, f"下载附件：{attachment.name}", obj=attachment)
        return response

    def _picture_view(self, part):
        def view(request, object_id):
            return serving.picture(self.visible_object(request, object_id), part)

        return view

    def upload_view(self, request, **keys):
        """Each file for itself: what is wrong with one does not keep the others out."""
        parent = self._parent(request, keys[self.parent_field])
        if request.method != "POST":
            raise Http404
        if not may_attach(request.user, self.model, parent):
            raise PermissionDenied
        files = request.FILES.getlist("files")
        details = {
            "kind": next((item for item in _kinds() if str(item.pk) == request.POST.get("kind")), None),
            "remark": request.POST.get("remark", "").strip(),
        }
        done = 0
        for upload in files[:MAX_FILES]:
            try:
                receive(self.model, parent, upload, by=request.user, **details)
                done += 1
            except Refused as error:
                self.message_user(request, error.messages[0], messages.ERROR)
        if done:
            self.message_user(request, f"已上传 {done} 个文件。", messages.SUCCESS)
        if not files:
            self.message_user(request, "没有选择文件，请选择后再上传。", messages.ERROR)
        elif len(files) > MAX_FILES:
            left = len(files) - MAX_FILES
            self.message_user(request, f"一次最多上传 {MAX_FILES} 个文件，还有 {left} 个没有上传。", messages.WARNING)
        page = reverse(f"admin:{parent._meta.app_label}_{parent._meta.model_name}_change", args=[parent.pk])
        tab = self.opts.get_field(self.parent_field).remote_field.get_accessor_name()
        return HttpResponseRedirect(f"{page}#{tab}")

    def _parent(self, request, pk):
        """The record that files are hung on, as ``request.user`` may see it now, or 404."""
        model = self.opts.get_field(self.parent_field).related_model
        parent = policy_for(model).visible_to(request.user, "view").filter(pk=pk).first()
        if parent is None:
            raise Http404(f"{model._meta.verbose_name}不存在，或您无权查看。")
        return parent


def _kinds():
    return list(DictionaryItem.objects.valid().filter(type="attachment_kind", is_active=True).order_by("sort", "id"))
