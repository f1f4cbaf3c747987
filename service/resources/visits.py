"""What a row of a workbook means for return visits: planned ones, and those of the past with their date."""

from datetime import datetime

from django.utils import timezone

from crm.excel.resource import register
from crm.excel.widgets import ParentWidget
from crm.policies import policy_for
from customers.resources.interactions import CUSTOMER_WORDS, ActivityResource
from service.models import ReturnVisit, ReturnVisitStatus


class VisitedWidget(ParentWidget):
    """A customer that the importer may visit: the service desk any that it sees, others those they may change."""

    def rows(self, context):
        policy = policy_for(ReturnVisit)
        return policy.root_policy.visible_to(context.user, policy.root_action(context.user))


@register
class ReturnVisitResource(ActivityResource):
    """Recognised by customer, planned time and method; a new one with the time of the visit is a finished one."""

    moment = "planned_at"
    tellers = ("method",)

    class Meta:
        model = ReturnVisit
        fields = ["customer", "planned_at", "method", "visited_at", "content", "feedback", "satisfaction", "remark"]
        readonly = ["contact", "status", "cancel_reason", "created_by", "created_at"]
        keys = [("planned_at", "planned_at")]
        titles = {"customer": "客户代码"}
        cells = {"customer": VisitedWidget}
        synonyms = {
            "customer": CUSTOMER_WORDS,
            "planned_at": ("计划时间", "计划日期", "回访时间", "日期"),
            "method": ("方式", "类型"),
            "visited_at": ("实际时间", "完成时间"),
            "content": ("内容",),
            "feedback": ("反馈",),
        }
        examples = {"customer": "KH0001", "planned_at": "2026-03-20 09:00", "method": "电话"}

    def fill_blanks(self, rows):
        """What is said to have taken place is done."""
        for row in rows:
            if row.get("visited_at"):
                row["status"] = ReturnVisitStatus.DONE

    def check_row(self, values, stored, context):
        if stored is None and not values.get("planned_at"):
            return [("planned_at", "不能为空。")]
        visited = values.get("visited_at")
        if visited and datetime.fromisoformat(visited) > timezone.now():
            return [("visited_at", "不能晚于现在。")]
        if visited and stored is not None and stored["status"] == ReturnVisitStatus.PLANNED:
            return [("visited_at", "已有计划的回访请在它的页面上点“完成回访”。")]
        return []

    def describe(self, values):
        return ""
