from datetime import timedelta

from django.contrib import admin, messages
from django.db import OperationalError
from django.http import Http404, HttpResponseRedirect, JsonResponse
from django.urls import path
from django_q.models import Failure, OrmQ, Schedule, Success

from crm import files, jobs
from crm.admin.base import ModelAdmin, ReadOnly, display
from crm.models import Job

STATE_LABELS = {"已完成": "success", "失败": "danger", "进行中": "info", "排队中": "warning"}


@admin.register(Job)
class JobAdmin(ReadOnly, ModelAdmin):
    nav_icon, nav_order, nav_group = "pending_actions", 20, "数据与任务"
    list_display = ["title", "state_name", "progress", "message", "created_at", "duration"]
    list_filter = ["state"]
    head_template = None

    @display(description="状态", label=STATE_LABELS)
    def state_name(self, obj):
        return obj.get_state_display()

    @display(description="进度")
    def progress(self, obj):
        return f"{obj.percent}%"

    @display(description="用时")
    def duration(self, obj):
        return spoken(obj.elapsed)

    def get_urls(self):
        view = self.admin_site.admin_view
        return [
            path("<int:object_id>/progress/", view(self.progress_view), name="crm_job_progress"),
            path("<int:object_id>/cancel/", view(self.cancel_view), name="crm_job_cancel"),
            *super().get_urls(),
        ]

    def change_view(self, request, object_id, form_url="", extra_context=None):
        job = self.visible_object(request, object_id)
        stored = files.find(request.user, job.result["file"]) if job.result.get("file") else None
        context = {
            "title": job.title,
            "job": job,
            "figures": figures(job),
            "download": stored and files.url_of(stored),
            "download_gone": bool(job.result.get("file")) and stored is None,
            "link": job.result.get("link") or job.link,
        }
        return self.page(request, "crm/jobs/detail.html", context)

    def progress_view(self, request, object_id):
        """What moves on the page, asked for every second."""
        return JsonResponse(figures(self.visible_object(request, str(object_id))))

    def cancel_view(self, request, object_id):
        job = self.visible_object(request, str(object_id))
        if request.method != "POST":
            raise Http404
        if not job.is_finished:
            try:
                jobs.cancel(job)
                self.message_user(request, "已要求取消，任务会在处理完手头的一批后停止。", messages.SUCCESS)
            except OperationalError:
                # a chunk in progress holds the row longer than the database lets us wait
                self.message_user(request, "任务正在写入，请过几秒再取消一次。", messages.WARNING)
        return HttpResponseRedirect(self._url("change", job.pk))


def figures(job) -> dict:
    """What ``crm/jobs/_progress.html`` shows and keeps asking for."""
    return {
        "state": job.get_state_display(),
        "variant": STATE_LABELS.get(job.get_state_display(), ""),
        "finished": job.is_finished,
        "percent": job.percent,
        "percent_text": f"{job.percent}%" if job.total or job.is_finished else "",
        "count": f"{job.done} / {job.total}" if job.total else str(job.done or ""),
        "message": "仍在排队；若一直不动，请联系管理员确认后台任务进程在运行。" if job.is_stalled else job.message,
        "elapsed": spoken(job.elapsed),
        "remaining": spoken(job.remaining),
    }


def spoken(duration: timedelta | None) -> str:
    """``3 小时 5 分``, ``2 分 10 秒``, ``7 秒``; nothing for None."""
    if duration is None:
        return ""
    minutes, seconds = divmod(max(0, int(duration.total_seconds())), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} 小时 {minutes} 分"
    return f"{minutes} 分 {seconds} 秒" if minutes else f"{seconds} 秒"


# the library's own pages would show other people's messages
for model in (OrmQ, Schedule, Success, Failure):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
