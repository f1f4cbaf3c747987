"""What a row of a workbook means for work orders. They come in unsolved: steps are made on their pages."""

from django.db.models import Q
from django.utils import timezone

from crm import numbering
from crm.excel.resource import Resource, register
from crm.excel.widgets import ParentWidget, PersonWidget
from crm.models import User
from customers.models import Customer
from service.models import WorkOrder, WorkOrderStatus
from service.services import targets, workorders


class AssigneeWidget(PersonWidget):
    """A colleague who may process work orders, or who has some: a stored work order keeps whom it has."""

    def rows(self, context):
        able = workorders.assignees(context.user)
        return User.objects.filter(Q(pk__in=able.order_by().values("pk")) | Q(pk__in=WorkOrder.objects.values("owner")))


class SeenCustomerWidget(ParentWidget):
    """A customer that the importer sees: service does not edit it."""

    action = "view"


@register
class WorkOrderResource(Resource):
    """Recognised by number. A new one with a person in charge is 分配, else it is 创建 and waits for one."""

    class Meta:
        model = WorkOrder
        fields = ["number", "customer", "type", "priority", "title", "content", "owner", "remark"]
        readonly = [
            "contact",
            "origin",
            "status",
            "solution",
            "feedback",
            "satisfaction",
            "response_due",
            "resolution_due",
            "assigned_at",
            "responded_at",
            "solved_at",
            "archived_at",
            "created_by",
            "created_at",
        ]
        keys = [("number", "number_key")]
        fixed = ("customer",)
        titles = {"customer": "客户代码", "owner": "处理人"}
        cells = {"customer": SeenCustomerWidget, "owner": AssigneeWidget}
        synonyms = {
            "number": ("工单编号", "单号", "编号", "ticket", "ticket no"),
            "customer": ("客户", "客户名称", "公司名称", "客户编号", "account", "customer"),
            "type": ("类型", "服务类型", "type"),
            "priority": ("紧急程度", "级别", "priority"),
            "title": ("工单标题", "标题", "主题", "subject"),
            "content": ("服务请求", "内容", "描述", "description"),
            "owner": ("分配人", "负责人", "指派给", "assignee"),
        }
        examples = {
            "customer": "KH0001",
            "type": "售后问题",
            "priority": "高",
            "title": "变频器启动报警",
            "content": "三号线变频器开机即报 E07，已断电重启无效。",
        }

    def new_defaults(self, user):
        """Nobody has it unless the file says who; whoever may not assign leaves that to others."""
        return {}

    def fill_blanks(self, rows):
        """What ``services.workorders.open_order`` derives."""
        blank = sum(not row.get("number") for row in rows)
        numbers = iter(numbering.take("work_order", blank) if blank else ())
        customers = Customer.objects.in_bulk({row["customer_id"] for row in rows})
        now = timezone.now()
        for row in rows:
            row["number"] = row.get("number") or next(numbers)
            row["priority"] = row.get("priority") or targets.default_priority(customers[row["customer_id"]])
            order = WorkOrder(priority=row["priority"], created_at=now)
            targets.set_targets(order)
            row |= {name: getattr(order, name) for name in ("response_due", "resolution_due", "due_at", "warn_at")}
            if row.get("owner_id"):
                row |= {"status": WorkOrderStatus.ASSIGNED, "assigned_at": now}

    def check_row(self, values, stored, context):
        if stored is not None and values.get("owner") not in (None, stored["owner_id"]):
            return [("owner", "不能通过导入更换，请在列表里勾选后“分配处理人”。")]
        if stored is None and values.get("owner") not in (None, *self._able(context)):
            return [("owner", "这位同事现在不能处理工单，请换一位。")]
        return []

    def _able(self, context):
        def load():
            return set(workorders.assignees(context.user).values_list("pk", flat=True))

        return context.names("people who process work orders", load)

    def refuse_changes(self, changes, stored, context):
        if "priority" in changes:
            return "优先级决定时限，不能通过导入修改，请在工单页面上修改。"
        return None

    def describe(self, values):
        return str(values.get("title") or "")[:200]
