"""Quotations and contracts on paper: which layout is used and what it is filled in with.

The same page is what the browser prints and what becomes the PDF. Its values are those of ``VALUES``, plain ones;
whoever may not see the customer prints it without.
"""

from decimal import Decimal
from pathlib import Path

from django.utils import timezone

from crm import printing
from crm.policies import HIDDEN_LABEL, policy_for
from customers.models import Customer
from sales.models import Contract, PrintKind, PrintTemplate

SHIPPED = Path(__file__).parent.parent / "data" / "print"
# what the page of a layout tells its writer
VALUES = {
    "number": "单号",
    "date": "日期：报价单为发送或建立之日，合同为签约之日（未签约为空）",
    "valid_until / revision": "报价有效期、版次（报价单）",
    "name / start_date / end_date / version": "合同名称、生效日期、到期日期、版本（合同）",
    "status": "状态，例如“草稿”“已签约”",
    "is_final": "报价单已发送、合同已签约时为真",
    "currency / total / capitals": "币种、总金额、大写金额",
    "has_discount": "有一行打了折时为真",
    "terms / remark": "条款、备注（用 |linebreaksbr 保留换行）",
    "owner.name / owner.phone / owner.email": "我方联系人",
    "customer.name / code / address / phone / fax / tax_no / representative": "客户",
    "contact.name / contact.phone / contact.position": "客户联系人",
    "company.name / address / phone / tax_no / bank / bank_account": "我方公司",
    "items": "明细，逐行 {% for line in items %}：line.no、name、code、specification、quantity、unit、unit_price、"
    "discount、amount、remark",
}


def kind_of(document) -> str:
    return PrintKind.CONTRACT if isinstance(document, Contract) else PrintKind.QUOTATION


def shipped(kind) -> str:
    """The layout that comes along."""
    return (SHIPPED / f"{kind}.html").read_text(encoding="utf-8")


def layout_for(document) -> str:
    """The newest active layout for our company on ``document``, else for all, else the shipped one."""
    rows = PrintTemplate.objects.valid().filter(kind=kind_of(document), is_active=True).order_by("-pk")
    company = our_company(document)
    own = rows.filter(company=company).first() if company is not None else None
    found = own or rows.filter(company=None).first()
    return found.body if found is not None else shipped(kind_of(document))


def our_company(document):
    """Who of us signs: the contract's company, else the last one on the document's path."""
    if (company := getattr(document, "company", None)) is not None:
        return company
    if document.company_path_id is None:
        return None
    node = document.company_path.nodes.filter(is_valid=True).select_related("company").order_by("-position").first()
    return node.company if node is not None else None


def page(document, user, *, layout=None) -> str:
    """``document`` as a page of HTML, as ``user`` may read it. Raises LayoutError."""
    return printing.fill(layout if layout is not None else layout_for(document), values(document, user))


def sample(layout) -> str:
    """``layout`` with made-up values, where there is no document yet. Raises LayoutError."""
    day = timezone.localdate()
    line: dict = {"no": 1, "name": "变频器", "specification": "7.5kW 380V", "quantity": "2", "unit": "台"}
    line |= {"unit_price": "2,680.00", "discount": "", "amount": "5,360.00", "remark": "", "code": "CP000001"}
    made_up = {
        "number": "HT202601010001",
        "name": "变频器销售合同",
        "date": day,
        "valid_until": day,
        "revision": 1,
        "version": 1,
        "status": "草稿",
        "is_final": False,
        "currency": "CNY",
        "total": "5,360.00",
        "capitals": printing.capitals(Decimal(5360)),
        "has_discount": False,
        "terms": "款到发货。",
        "remark": "",
        "items": [line],
        "owner": dict.fromkeys(PERSON, "") | {"name": "张伟", "phone": "13800138000"},
        "customer": dict.fromkeys(CUSTOMER, "") | {"name": "苏州恒达精密机械有限公司"},
        "contact": dict.fromkeys(CONTACT, "") | {"name": "王芳", "phone": "13900139000"},
        "company": dict.fromkeys(COMPANY, "") | {"name": "我方公司"},
    }
    return printing.fill(layout, made_up)


def explained() -> str:
    """What may stand in a layout, for whoever writes one."""
    names = "；".join(f"{{{{ {name} }}}} {what}" for name, what in VALUES.items())
    tags, filters = "、".join(printing.TAGS), "、".join(printing.FILTERS)
    return f"可以填入：{names}。标签：{tags}。过滤器：{filters}。图片请写成 data: 地址；脚本和外部链接不会执行。"


def values(document, user) -> dict:
    items = [_line(place, item) for place, item in enumerate(_items(document), 1)]
    found = {
        "number": document.number,
        "status": document.get_status_display(),
        "currency": document.currency,
        "total": f"{document.total_amount:,.2f}",
        "capitals": printing.capitals(document.total_amount, document.currency),
        "terms": document.terms,
        "remark": document.remark,
        "items": items,
        "has_discount": any(item["discount"] for item in items),
        "customer": _customer(document, user),
        "contact": _contact(document, user),
        "company": _company(document),
        "owner": _person(getattr(document, "owner", None) or document.customer.owner or document.created_by, user),
    }
    own = _contract if isinstance(document, Contract) else _quotation
    return found | own(document)


def _quotation(document):
    sent = document.sent_at or document.created_at
    return {
        "date": timezone.localdate(sent),
        "valid_until": document.valid_until,
        "revision": document.revision,
        "is_final": not document.is_draft,
    }


def _contract(document):
    return {
        "name": document.name,
        "date": document.sign_date,
        "start_date": document.start_date,
        "end_date": document.end_date,
        "version": document.version_no,
        "is_final": document.sign_date is not None,
    }


def _items(document):
    return document.items.filter(is_valid=True).select_related("product").order_by("pk")


def _line(place, item):
    return {
        "no": place,
        "name": item.name,
        "code": item.product.code if item.product_id else "",
        "specification": item.specification,
        "quantity": f"{item.quantity.normalize():,f}",
        "unit": item.unit,
        "unit_price": _price(item.unit_price),
        "discount": "" if item.discount == 100 else f"{item.discount.normalize():f}%",
        "amount": f"{item.amount:,.2f}",
        "remark": item.remark,
    }


def _price(price):
    """At least two decimals, more only where they say something."""
    exact = price.normalize()
    return f"{price:,.2f}" if exact.as_tuple().exponent >= -2 else f"{exact:,f}"


CUSTOMER = ("name", "code", "address", "phone", "fax", "tax_no", "representative")
CONTACT = ("name", "phone", "position")
COMPANY = ("name", "address", "phone", "tax_no", "bank", "bank_account")
PERSON = ("name", "phone", "email")


def _customer(document, user):
    customer = document.customer
    if user is not None and not policy_for(Customer).may(user, "view", customer):
        return dict.fromkeys(CUSTOMER, "") | {"name": HIDDEN_LABEL}
    return {
        "name": customer.name,
        "code": customer.code,
        "address": customer.address,
        "phone": customer.phone,
        "fax": customer.fax,
        "tax_no": customer.national_tax_no or customer.licence_no,
        "representative": customer.legal_representative,
    }


def _contact(document, user):
    contact = document.contact
    if contact is None or (user is not None and not policy_for(type(contact)).may(user, "view", contact)):
        return dict.fromkeys(CONTACT, "")
    return {"name": contact.name, "phone": contact.mobile, "position": contact.position}


def _company(document):
    company = our_company(document)
    return {name: getattr(company, name, "") for name in COMPANY}


def _person(person, reader):
    """Whom the customer may ask; how to reach him is printed by himself and by those who may look him up."""
    if person is None:
        return dict.fromkeys(PERSON, "")
    is_open = reader is None or reader == person or policy_for(type(person)).may(reader, "view", person)
    return {"name": str(person), "phone": person.phone if is_open else "", "email": person.email if is_open else ""}
