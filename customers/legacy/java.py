"""Customers and what belongs to them, from the old systems."""

from crm import text
from crm.legacy import convert
from crm.legacy.tables import Table, table
from customers.models import Contact, Customer, Interaction, Kind, ReviewStatus


@table(
    "java-crm",
    "t_customer",
    order=20,
    money={"zczj": "registered_capital", "nyye": "annual_turnover"},
    silent={"state": ("0",)},
    synonyms={
        "yyzzch": "yyzzzch",
        "cus_no": "khno",
        "customer_no": "khno",
        "cus_name": "name",
        "customer_name": "name",
        "manager": "cus_manager",
        "postal_code": "post_code",
        "website": "web_site",
        "customer_id": "khno",
        "satisfaction": "myd",
        "reputation": "xyd",
        "credit": "xyd",
        "business_license": "yyzzzch",
        "legal_person": "fr",
        "registered_capital": "zczj",
        "turnover": "nyye",
        "annual_turnover": "nyye",
        "bank": "khyh",
        "bank_name": "khyh",
        "account_number": "khzh",
        "bank_account": "khzh",
        "local_tax_num": "dsdjh",
        "local_tax_no": "dsdjh",
        "national_tax_num": "gsdjh",
        "national_tax_no": "gsdjh",
    },
)
class JavaCustomers(Table):
    """Customers by number. They were dealt with before, so they wait for no review; 1 is lost, of the others the orders
    tell (``sales.legacy``)."""

    model = Customer
    required = ("name",)

    def adjust(self, item, context):
        item.values.setdefault("kind", Kind.COMPANY)
        item.values["review_status"] = ReviewStatus.APPROVED
        for model in list(item.parts):
            if not item.parts[model].get("account"):
                item.notes += [f"{name}：{value}" for name, value in item.parts.pop(model).items()]

    def judge(self, items, context):
        """A deleted customer gives up its number where a valid one, or one before it, has the same."""
        deleted = [item for item in items if not item.values.get("is_valid", True) and item.values.get("code")]
        others: dict = {}
        for number, row in context.old_rows(self, "khno", {item.get("khno") for item in deleted}):
            others.setdefault(row["khno"], []).append((number, row.get("isvalid")))
        for item in deleted:
            namesakes = others.get(item.get("khno"), ())
            if any(number != item.number and (number < item.number or _is_valid(raw)) for number, raw in namesakes):
                item.notes.append(f"khno：“{item.values['code']}”还有别的客户在用，这个已删除，编号后加旧主键区分")
                item.values["code"] = f"{item.values['code'][: 31 - len(item.key[:12])]}-{item.key[:12]}"


@table(
    "java-crm",
    "t_customer_linkman",
    order=30,
    synonyms={
        "create_date": "ceate_date",
        "create_time": "ceate_date",
        "crate_date": "ceate_date",
        "linkman_name": "link_name",
        "name": "link_name",
        "position": "zhiwei",
        "job": "zhiwei",
        "mobile": "phone",
    },
)
class JavaLinkmen(Table):
    model = Contact
    required = ("customer", "name")

    def adjust(self, item, context):
        item.values.setdefault("name", item.values.get("mobile", ""))

    def complete(self, rows, items, context):
        for row in rows:
            if not row.get("is_valid", True):
                row |= {"is_default": False, "default_of_id": None, "mobile_key": None}


def _is_valid(raw) -> bool:
    return convert.is_blank(raw) or raw.strip().lower() not in convert.FALSE


@table("java-crm", "t_customer_contact", order=35)
class JavaInteractions(Table):
    """交往记录."""

    model = Interaction
    required = ("customer", "time")

    def adjust(self, item, context):
        item.values.setdefault("time", item.values.get("created_at"))
        if not text.clean_text(item.values.get("overview") or ""):
            item.values["overview"] = "（旧系统没有写概要）"
