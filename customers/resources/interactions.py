"""What a row of a workbook means for conversations and visit plans; both are told apart by customer, time and words."""

from datetime import datetime, timedelta

from django.utils import timezone

from crm import actor, audit, text
from crm.excel.resource import Resource, register
from crm.excel.widgets import ManyWidget, ParentWidget, PersonWidget
from customers.models import Interaction, VisitPlan

CUSTOMER_WORDS = ("客户", "客户名称", "公司名称", "客户编号", "account", "company", "customer")


class AuthorWidget(PersonWidget):
    """Whoever did the work, former colleagues too: a record of the past keeps its author."""

    def rows(self, context):
        return self.all_rows()

    def retired(self, context):
        return {}


class ManyPeopleWidget(ManyWidget):
    """Several colleagues by full name or user name."""

    def __init__(self, field=None, **kwargs):
        super().__init__(field, by=("full_name", "username"), **kwargs)


class ActivityResource(Resource):
    """Something done or planned at a moment: recognised by its root, that moment and the words of ``tellers``.

    A row without author is the importer's own.
    """

    roots: tuple[str, ...] = ("customer",)
    moment = "time"
    tellers: tuple[str, ...] = ()

    def key_of(self, values):
        root = next((f"{name}:{values[name]}" for name in self.roots if values.get(name) is not None), None)
        words = text.fold("\n".join(values.get(name) or "" for name in self.tellers))
        moment = values.get(self.moment)
        return (self.moment, root, moment, words) if root and moment else None

    def find(self, keys):
        found: dict = {}
        moments = sorted(datetime.fromisoformat(key[2]) for key in keys)
        for name in self.roots:
            ids = {int(key[1].partition(":")[2]) for key in keys if key[1].startswith(f"{name}:")}
            if not ids:
                continue
            rows = self.model._base_manager.filter(is_valid=True, **{f"{name}__in": ids})
            first, last = moments[0], moments[-1] + timedelta(seconds=1)
            rows = rows.filter(**{f"{self.moment}__gte": first, f"{self.moment}__lt": last})
            for pk, root, moment, *words in rows.values_list("pk", f"{name}_id", self.moment, *self.tellers):
                key = (self.moment, f"{name}:{root}", audit.json_value(moment), text.fold("\n".join(words)))
                if key in keys:
                    found.setdefault(key, []).append(pk)
        return found

    def fill_blanks(self, rows):
        user = actor.current().user
        for row in rows:
            if row.get("author_id") is None and user is not None:
                row["author_id"] = user.pk

    def check_row(self, values, stored, context):
        if stored is not None:
            return []
        if not values.get("time"):
            return [("time", "不能为空。")]
        if datetime.fromisoformat(values["time"]) > timezone.now():
            return [("time", "不能晚于现在。")]
        return []

    def describe(self, values):
        return next((str(values[name])[:200] for name in self.tellers if values.get(name)), "")


@register
class InteractionResource(ActivityResource):
    tellers = ("overview", "content")

    class Meta:
        model = Interaction
        fields = ["customer", "time", "type", "tag", "overview", "content", "address", "author", "remark"]
        readonly = ["contact", "created_at"]
        keys = [("time", "time")]
        titles = {"customer": "客户代码"}
        cells = {"customer": ParentWidget, "author": AuthorWidget}
        synonyms = {
            "customer": CUSTOMER_WORDS,
            "time": ("交往时间", "联系时间", "时间", "日期", "date", "time"),
            "type": ("类型", "方式", "联系方式", "type"),
            "tag": ("标签", "主题"),
            "overview": ("摘要", "标题", "subject"),
            "content": ("内容", "详情", "content", "description"),
            "address": ("交往地址", "地址"),
            "author": ("业务员", "创建人", "联系人员", "owner"),
        }
        examples = {
            "customer": "KH0001",
            "time": "2026-03-15 09:30",
            "type": "电话",
            "tag": "需求沟通",
            "overview": "询问新规格的交期",
            "author": "zhangwei",
        }

    def check_row(self, values, stored, context):
        if stored is None and not (values.get("overview") or values.get("content")):
            return [("overview", "与会话内容请至少填写一项。")]
        return super().check_row(values, stored, context)


@register
class VisitPlanResource(ActivityResource):
    """A plan may lie ahead; whether it was done is said on its page, not in a file."""

    tellers = ("purpose",)

    class Meta:
        model = VisitPlan
        fields = ["customer", "time", "purpose", "address", "materials", "participants", "remark"]
        readonly = ["contact", "status", "summary", "cancel_reason", "finished_at", "created_by", "created_at"]
        keys = [("time", "time")]
        titles = {"customer": "客户代码"}
        cells = {"customer": ParentWidget, "participants": ManyPeopleWidget}
        synonyms = {
            "customer": CUSTOMER_WORDS,
            "time": ("拜访时间", "时间", "日期", "date", "time"),
            "purpose": ("目的", "拜访事由", "事由", "subject"),
            "address": ("地点", "地址", "location"),
            "materials": ("资料",),
            "participants": ("参加人", "同行人", "拜访人", "attendees"),
        }
        examples = {
            "customer": "KH0001",
            "time": "2026-03-20 14:00",
            "purpose": "商谈年度合同",
            "participants": "张伟、王芳",
        }

    def fill_blanks(self, rows):
        """Who planned it is who imports it; participants are said by name."""

    def check_row(self, values, stored, context):
        return []
