from django.contrib import admin
from django.http import HttpResponseRedirect
from django.urls import path
from django.utils import timezone

from crm.admin.base import ModelAdmin, ReadOnly, display
from crm.models import Notification


@admin.register(Notification)
class NotificationAdmin(ReadOnly, ModelAdmin):
    nav_icon, nav_order, nav_group = "notifications", 90, "数据与任务"
    list_display = ["level_name", "title", "body", "created_at", "state"]
    list_display_links = ["title"]
    list_before_template = "crm/notifications_read.html"
    empty_hint = "审批、提醒、导入完成等消息会出现在这里。"
    head_template = None

    def waiting_rows(self, request):
        return Notification.objects.filter(user=request.user, read_at=None)

    def change_view(self, request, object_id, form_url="", extra_context=None):
        """Opening a message marks it read and leads to what it is about."""
        obj = self.visible_object(request, object_id)
        if obj.read_at is None:
            obj.read_at = timezone.now()
            obj.save(update_fields=["read_at"])
        return HttpResponseRedirect(obj.link or self._url("changelist"))

    def get_urls(self):
        read = self.admin_site.admin_view(self.read_all)
        return [path("read-all/", read, name="crm_notification_read_all"), *super().get_urls()]

    def read_all(self, request):
        if request.method == "POST":
            self.get_queryset(request).filter(read_at=None).update(read_at=timezone.now())
        return HttpResponseRedirect(self._url("changelist"))

    @display(description="级别", label={"完成": "success", "提醒": "warning", "紧急": "danger", "消息": "info"})
    def level_name(self, obj):
        return obj.get_level_display()

    @display(description="状态", label={"未读": "warning"})
    def state(self, obj):
        return "未读" if obj.read_at is None else "已读"
