"""What a row of a workbook means for customers."""

import re
import sys

from crm import numbering, text
from crm.audit_display import NOBODY
from crm.excel.companion import PREFIX, Companion
from crm.excel.resource import Resource, register
from crm.excel.widgets import CellProblem, DictionaryWidget, PersonWidget
from crm.policies import policy_for
from customers.models import Contact, Customer, RealCustomer
from customers.services import changes

SEA = "公海"


class ScaleWidget(DictionaryWidget):
    """A size class by its name, or by the number of people: 2822 is 1000人以上, 35 is 20-99人."""

    def resolve(self, shown, context):
        try:
            return super().resolve(shown, context)
        except CellProblem:
            people = text.fold(shown).removesuffix("人")
            if people.isdecimal() and (found := self._containing(int(people), context)):
                return found
            raise

    def _containing(self, people, context):
        for pk, low, high in context.names(("scale", self.field), lambda: self._ranges(context)):
            if low <= people <= high:
                return pk
        return None

    def _ranges(self, context):
        """``(id, from, to)`` of the items whose label is a range: 20人以下, 20-99人, 1000人以上."""
        found = []
        for item in self.rows(context):
            numbers = [int(number) for number in re.findall(r"\d+", item.label)]
            if len(numbers) == 2:
                found.append((item.pk, *numbers))
            elif numbers and "以下" in item.label:
                found.append((item.pk, 0, numbers[0] - 1))
            elif numbers and "以上" in item.label:
                found.append((item.pk, numbers[0], sys.maxsize))
        return found


class AreaWidget(DictionaryWidget):
    """A sales area by its name, or by what begins with one of its provinces: 上海浦东 is 华东."""

    def resolve(self, shown, context):
        try:
            return super().resolve(shown, context)
        except CellProblem:
            word, names = text.fold(shown), self.lookup(context)
            found = {names[name] for name in names if len(name) > 1 and word.startswith(name)}
            if len(found) == 1:
                return found.pop()
            raise


class SeaOrPersonWidget(PersonWidget):
    """A colleague, or the word 公海: a new customer without owner, for those who may give customers up."""

    def words(self, context):
        return [SEA, *super().words(context)] if self._may(context) else super().words(context)

    def resolve(self, shown, context):
        if text.fold(shown) != SEA:
            return super().resolve(shown, context)
        if not self._may(context):
            raise CellProblem("没有“退回公海”的权限，不能把客户放入公海；请填写一位同事，或留空归自己负责。")
        return NOBODY

    def _may(self, context):
        return policy_for(Customer).allows(context.user, "release")


class CustomerContact(Companion):
    """The contact columns of a customer's row."""

    model = Contact
    path = "customer"
    names = {
        "name": "联系人",
        "position": "联系人职位",
        "mobile": "联系人手机",
        "telephone": "联系人座机",
        "email": "联系人邮箱",
        "wechat": "联系人微信",
        "qq": "联系人QQ",
        "birthday": "联系人生日",
    }
    synonyms = {
        "name": ("联系人姓名", "联系人名称", "contact", "contact name", "联络人", "首要联系人"),
        "position": ("职位", "职务", "title", "job title"),
        "mobile": ("手机", "手机号", "手机号码", "移动电话", "mobile", "联系人手机号", "联系人电话"),
        "telephone": ("座机", "固定电话", "办公电话"),
        "email": ("联系人电子邮箱",),
        "wechat": ("微信", "微信号", "wechat"),
        "qq": ("qq", "qq号"),
        "birthday": ("生日", "出生日期"),
    }

    def prepare(self, parent, row):
        row["mobile_key"] = text.phone_key(row.get("mobile") or "") or None
        return row


@register
class CustomerResource(Resource):
    companion = CustomerContact()

    class Meta:
        model = Customer
        fields = [
            "code",
            "name",
            "short_name",
            "kind",
            "level",
            "industry",
            "scale",
            "source",
            "nature",
            "business_types",
            "categories",
            "tags",
            "phone",
            "fax",
            "email",
            "notify_email",
            "billing_email",
            "website",
            "country",
            "area",
            "address",
            "postcode",
            "currency",
            "trade_terms",
            "transport",
            "invoice_title",
            "tax_rate",
            "is_sinosure",
            "is_credit_enabled",
            "licence_no",
            "legal_representative",
            "capital_currency",
            "registered_capital",
            "annual_turnover",
            "national_tax_no",
            "local_tax_no",
            "satisfaction",
            "credit_rating",
            "real_customer",
            "owner",
            "is_enabled",
            "is_closed",
            "remark",
        ]
        readonly = ["review_status", "deal_status", "stage", "created_at", "updated_at"]
        keys = [("code", "code_key"), ("name", "name_key")]
        guard = "name"
        cells = {"scale": ScaleWidget, "area": AreaWidget, "owner": SeaOrPersonWidget}
        notes = [
            "有“分配客户”权限的人：“负责人”填“公海”，新客户进入公海等人认领；整个文件都进公海时，可在匹配页给“负责人”设默认值“公海”。",
            "“负责人”留空，或没有分配权限，新客户归导入的人负责；已有客户不能通过导入退回公海。",
        ]
        synonyms = {
            "code": (
                "客户编号",
                "客户编码",
                "编号",
                "客户id",
                "客户号",
                "customer id",
                "customer code",
                "customer no",
                "id",
            ),
            "name": (
                "公司名称",
                "企业名称",
                "客户",
                "单位名称",
                "公司",
                "名称",
                "company",
                "account",
                "account name",
                "customer name",
                "customer",
            ),
            "short_name": ("简称", "公司简称"),
            "kind": ("类型", "客户类别"),
            "level": ("等级", "级别", "客户级别"),
            "industry": ("行业", "sector", "industry"),
            "scale": ("规模", "公司规模", "人员规模", "employees"),
            "source": ("来源", "客户来源", "lead source"),
            "phone": ("电话", "公司电话", "座机号", "phone", "phone 1", "telephone", "tel", "联系方式"),
            "fax": ("fax", "传真号"),
            "email": ("邮箱", "电子邮箱", "电子邮件", "email", "e-mail"),
            "website": ("网址", "官网", "网站", "website", "homepage", "url"),
            "country": ("国家", "国别", "country", "office_location"),
            "area": ("地区", "区域", "大区", "region"),
            "address": ("公司地址", "联系地址", "详细地址", "address"),
            "postcode": ("邮政编码", "zip", "postal code"),
            "currency": ("币种", "币别", "currency"),
            "invoice_title": ("发票抬头",),
            "tax_rate": ("税率", "税率(%)", "增值税率"),
            "licence_no": ("营业执照", "统一社会信用代码", "信用代码", "工商注册号", "纳税人识别号", "税号"),
            "legal_representative": ("法人", "法定代表人"),
            "registered_capital": ("注册资金", "注册资本"),
            "annual_turnover": ("年营业额", "营业额", "revenue"),
            "satisfaction": ("满意程度",),
            "credit_rating": ("信用等级",),
            "owner": ("业务员", "客户经理", "销售", "所属业务员", "owner", "归属人"),
            "remark": ("说明", "描述", "remark", "notes", "备注信息"),
        }
        examples = {
            "code": "KH0001",
            "name": "深圳市前海云创科技有限公司",
            "short_name": "前海云创",
            "level": "A级",
            "industry": "互联网/软件",
            "phone": "0755-86012345",
            "email": "info@example.com",
            "licence_no": "91440300MA5EXAMPL0",
            "tax_rate": "13",
            "registered_capital": "5000000",
        }

    def fill_blanks(self, rows):
        blank = [row for row in rows if not row.get("code")]
        if blank:
            for row, code in zip(blank, numbering.take("customer", len(blank)), strict=True):
                row["code"] = code

    def to_row(self, values):
        return super().to_row({**values, "owner": None} if values.get("owner") == NOBODY else values)

    def refuse_changes(self, changed, stored, context):
        """An approved customer changes by request; its contact may be brought up to date by anybody who may edit it."""
        if changed.get("owner") == [None, NOBODY]:
            del changed["owner"]  # it is in the sea already
        if changed.get("owner", [None, None])[1] == NOBODY:
            return f"“{stored['name']}”已有负责人，不能通过导入退回公海；请在列表里勾选后“退回公海”。"
        if "owner" in changed and not self._may_assign(stored, context.user):
            return f"没有分配“{stored['name']}”的权限，不能更换负责人；请留空“负责人”一列，或请主管导入。"
        own = [name for name in changed if not name.startswith(PREFIX) and name != "owner"]
        if own and changes.is_controlled(stored["review_status"], context.user):
            titles = "、".join(self.fields[name].column_name for name in own[:5])
            return f"“{stored['name']}”已审核，修改{titles}需要审批：请在客户页面提交变更，或由有直接修改权限的人导入。"
        return None

    def _may_assign(self, stored, user):
        return self.policy.visible_to(user, "assign").filter(pk=stored["id"]).exists()

    def describe(self, values):
        return str(values.get("name") or values.get("code") or "")[:200]


@register
class RealCustomerResource(Resource):
    class Meta:
        model = RealCustomer
        fields = ["code", "name", "remark", "is_closed"]
        readonly = ["created_at", "updated_at"]
        keys = [("code", "code_key")]
        synonyms = {"code": ("编码", "真实客户代码"), "name": ("名称",)}
        examples = {"code": "RC0001", "name": "华为技术有限公司"}
