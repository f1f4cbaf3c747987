"""What a row of a workbook means for the people at a customer."""

from crm import text
from crm.excel.resource import Resource, register
from crm.excel.widgets import ParentWidget
from customers.models import Contact


@register
class ContactResource(Resource):
    """Recognised within its customer by mobile, else by name."""

    class Meta:
        model = Contact
        fields = [
            "customer",
            "name",
            "sex",
            "position",
            "mobile",
            "telephone",
            "email",
            "wechat",
            "qq",
            "address",
            "preference",
            "birthday",
            "is_key",
            "remark",
        ]
        readonly = ["is_default", "created_at", "updated_at"]
        keys = [("mobile", "mobile_key"), ("name", "name")]
        titles = {"customer": "客户代码"}
        cells = {"customer": ParentWidget}
        synonyms = {
            "customer": ("客户", "客户名称", "公司名称", "客户编号", "account", "company", "customer"),
            "name": ("联系人", "联系人姓名", "contact", "contact name", "full name"),
            "position": ("职务", "title", "job title"),
            "mobile": ("手机", "手机号码", "移动电话", "联系电话", "电话", "mobile", "phone"),
            "telephone": ("固定电话", "办公电话", "office phone"),
            "email": ("电子邮箱", "email"),
            "wechat": ("微信号",),
            "preference": ("偏好",),
            "is_key": ("关键人", "决策人"),
            "sex": ("gender",),
            "birthday": ("出生日期", "birthdate"),
        }
        examples = {"customer": "KH0001", "name": "王芳", "mobile": "13800138000", "position": "采购经理"}

    def key_of(self, values):
        customer, name = values.get("customer"), text.fold(values.get("name") or "")
        phone = text.phone_key(values.get("mobile") or "")
        if customer is None or not (phone or name):
            return None
        return ("mobile_key", str(customer), phone) if phone else ("name", str(customer), name)

    def find(self, keys):
        """By mobile within the customer; a row without mobile by name."""
        customers = {int(key[1]) for key in keys}
        found: dict = {}
        rows = Contact._base_manager.filter(customer__in=customers, is_valid=True)
        for pk, customer, phone, name in rows.values_list("pk", "customer_id", "mobile_key", "name"):
            for key in (("mobile_key", str(customer), phone or ""), ("name", str(customer), text.fold(name))):
                if key in keys:
                    found.setdefault(key, []).append(pk)
        return found

    def fill_blanks(self, rows):
        """What ``Contact.save`` derives: the phone's key, and the first contact of a customer is its default."""
        customers = {row["customer_id"] for row in rows}
        served = set(Contact._base_manager.filter(default_of__in=customers).values_list("default_of_id", flat=True))
        for row in rows:
            customer = row["customer_id"]
            row["mobile_key"] = text.phone_key(row.get("mobile") or "") or None
            row["is_default"] = customer not in served
            row["default_of_id"] = None if customer in served else customer
            served.add(customer)

    def derive(self, row):
        row["mobile_key"] = text.phone_key(row.get("mobile") or "") or None
