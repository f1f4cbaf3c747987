"""What a row of a workbook means for leads."""

from django.utils import timezone

from crm import text
from crm.excel.resource import Resource, register
from crm.excel.widgets import CellProblem, LookupWidget, PersonWidget, PhoneWidget
from crm.models import User
from crm.policies import HIDDEN_LABEL, policy_for
from sales.models import Lead, LeadPool
from sales.policies import open_pools
from sales.services import leads


class LeadPhoneWidget(PhoneWidget):
    """A number that a lead out of reach already has is refused, saying whom to ask; looked up per chunk."""

    def preload(self, cells, context):
        keys = {text.phone_key(cell) for cell in cells if isinstance(cell, str | int)} - {""}
        known = Lead.objects.valid().filter(phone_key__in=keys)
        mine = policy_for(Lead).visible_to(context.user, "change").filter(pk__in=known.values("pk"))
        foreign = known.exclude(pk__in=list(mine.values_list("pk", flat=True))).select_related(
            "pool", "owner__department"
        )
        context.replace(("lead phones",), {lead.phone_key: lead.whereabouts for lead in foreign})
        return True

    def clean(self, value, row=None, context=None, **kwargs):
        phone = super().clean(value, context=context)
        foreign = context.names(("lead phones",), dict).get(text.phone_key(phone))
        if foreign:
            raise CellProblem(f"“{phone}”已有线索（{foreign}），不能再导入；如是再次咨询，请用线索列表上的“登记咨询”。")
        return phone


class AssigneeWidget(PersonWidget):
    """A colleague to whom the importer may give leads."""

    def rows(self, context):
        return leads.assignees(context.user)

    def resolve(self, shown, context):
        try:
            return super().resolve(shown, context)
        except CellProblem as problem:
            known = User.objects.filter(is_active=True, full_name=shown).exists()
            if known and problem.unknown:
                raise CellProblem(f"“{shown}”不在您可以分配的同事之内。", unknown=shown) from problem
            raise


class ConvertedWidget(LookupWidget):
    """The customer that a lead became, named to those who may see it."""

    def render(self, value, obj=None, context=None, **kwargs):
        if not value or value in context.names(("customers of leads",), lambda: self._visible(context)):
            return super().render(value, context=context)
        return HIDDEN_LABEL

    def _visible(self, context):
        rows = policy_for(self.model).visible_to(context.user)
        return set(rows.filter(leads__isnull=False).order_by().values_list("pk", flat=True))


@register
class LeadResource(Resource):
    """Recognised by phone. Without an owner a new lead waits in its pool, unless the importer may assign nobody."""

    class Meta:
        model = Lead
        fields = [
            "name",
            "phone",
            "company",
            "position",
            "pool",
            "owner",
            "source",
            "activity",
            "intent_product",
            "intent_level",
            "success_probability",
            "overview",
            "description",
            "remark",
        ]
        readonly = [
            "status",
            "customer",
            "enquiry_count",
            "last_enquiry_at",
            "assigned_at",
            "converted_at",
            "created_by",
            "created_at",
        ]
        keys = [("phone", "phone_key")]
        cells = {"phone": LeadPhoneWidget, "owner": AssigneeWidget, "customer": ConvertedWidget}
        notes = ["有“分配线索”权限的人：负责人留空，线索就在线索池里等人领取；其他人导入的线索归自己负责。"]
        synonyms = {
            "name": ("姓名", "联系人", "联系人姓名", "客户姓名", "名称", "lead", "lead name", "name", "contact"),
            "phone": ("电话", "手机", "手机号", "手机号码", "联系方式", "移动电话", "phone", "mobile", "tel"),
            "company": ("公司", "企业名称", "单位", "客户名称", "company", "account"),
            "position": ("职务", "title", "job title"),
            "pool": ("所属线索池", "池", "lead pool"),
            "owner": ("业务员", "分配人", "跟进人", "销售", "owner"),
            "source": ("来源", "渠道", "线索来源", "机会来源", "lead source"),
            "activity": ("市场活动", "活动", "campaign"),
            "intent_product": ("产品", "意向", "需求产品", "product"),
            "intent_level": ("意向等级", "意向程度"),
            "success_probability": ("成功率", "成功几率", "赢单率"),
            "overview": ("摘要", "简介", "subject"),
            "description": ("描述", "需求描述", "详情", "description"),
            "remark": ("说明", "notes"),
        }
        examples = {
            "name": "王芳",
            "phone": "13800138000",
            "company": "苏州恒达精密机械有限公司",
            "position": "采购经理",
            "intent_product": "变频器",
            "intent_level": "高",
            "success_probability": "60",
            "overview": "展会上索取了样册，计划三季度采购",
        }

    def new_defaults(self, user):
        """Whoever may assign says in the file who gets the lead; everybody else imports his own."""
        return {} if self.policy.allows(user, "assign") else {"owner": user.pk}

    def fill_blanks(self, rows):
        """What ``Lead.save`` derives."""
        now = timezone.now()
        for row in rows:
            row["phone_key"] = text.phone_key(row.get("phone") or "") or None
            row["assigned_at"] = now if row.get("owner_id") else None

    def derive(self, row):
        row["phone_key"] = text.phone_key(row.get("phone") or "") or None

    def check_row(self, values, stored, context):
        owner, pool = values.get("owner"), values.get("pool")
        if stored is not None:
            moved = owner is not None and owner != stored["owner_id"]
            return [("owner", "不能通过导入更换，请在列表里勾选后“分配负责人”。")] if moved else []
        if owner is not None and pool is not None and owner not in self._people_of(pool, context):
            return [("owner", f"不是私有池“{context.label(LeadPool, pool)}”的成员，请换一位或先把他加为成员。")]
        return []

    def _people_of(self, pool, context):
        """Ids of those among whom the importer may choose for a lead of ``pool``."""

        def load():
            people = leads.assignees(context.user)
            return {person.pk for person in people if open_pools(person).filter(pk=pool).exists()}

        return context.names(("people of pool", pool), load)
