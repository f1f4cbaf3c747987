"""Foreign-trade customers of eplus-crm: what hangs on them, categories, credit and paths. Source: document 002."""

import json
import re
from decimal import Decimal

from crm import bulk, ownership, text
from crm.legacy import convert
from crm.legacy.tables import Table, table, table_named
from crm.models import CompanyPath, Currency, LegacyRecord, User
from crm.policies import policy_for
from customers.models import (
    BankAccount,
    ChangeStatus,
    Contact,
    CreditLimit,
    Customer,
    CustomerCategory,
    CustomerLink,
    CustomerPath,
    DealStatus,
    Kind,
    ReviewStatus,
    ShippingMark,
    Stage,
)

SYSTEM = "eplus-crm"
DEALS = {Stage.LEAD: DealStatus.POTENTIAL, Stage.LAPSED: DealStatus.LOST}
CHANGES = {"2": ChangeStatus.APPROVED, "3": ChangeStatus.REJECTED}


def listed(raw) -> list[str]:
    """The words of a list, however it was written: ``[1,2]``, ``["a"]``, ``1,2``."""
    return list(dict.fromkeys(filter(None, re.split(r"[\s,，;；、\[\]\"']+", raw))))


def amounts(raw) -> dict[str, Decimal]:
    """``{currency: amount}`` of a JsonAmount or a list of them. Raises Unreadable."""
    try:
        found = json.loads(raw, parse_float=Decimal)
        several = [found] if isinstance(found, dict) else found
        pairs = [(each["currency"].upper(), Decimal(str(each["amount"]))) for each in several]
    except (ValueError, ArithmeticError, TypeError, KeyError, AttributeError) as error:
        raise convert.Unreadable("不是“金额和币种”") from error
    if any(code not in Currency.values or not 0 <= amount < 10**16 for code, amount in pairs):
        raise convert.Unreadable("有不认识的币种，或金额不在范围内")
    if len(dict(pairs)) < len(pairs):
        raise convert.Unreadable("同一个币种写了两次")
    return dict(pairs)


@table(SYSTEM, "CATEGORY", order=10, aliases=("crm_category",), by="name")
class EplusCategories(Table):
    """Categories by name."""

    model = CustomerCategory
    required = ("name",)


@table(
    SYSTEM,
    "CUSTOMER",
    order=20,
    aliases=("crm_cust",),
    money={"creditLimit": "creditlimits__amount"},
    handled=(
        "countryId",
        "creditLimit",
        "managerIds",
        "(annex)",
        "(picture)",
        "changeFlag",
        "changeStatus",
        "custLinkCode",
        "(categoryIds)",
        "(taxRate)",
    ),
)
class EplusCustomers(Table):
    """Customers by code. The first manager owns, the others collaborate; people and countries of whom only the number
    is known stay in the old values."""

    model = Customer
    required = ("name",)

    def prepare(self, items, context):
        asked = {key for item in items for key in listed(item.get("categoryIds"))}
        self.categories = context.targets(table_named(SYSTEM, "CATEGORY"), asked)
        self.active = set(User.objects.filter(is_active=True).values_list("pk", flat=True))

    def adjust(self, item, context):
        values = item.values
        values["kind"] = Kind.COMPANY
        values.setdefault("review_status", ReviewStatus.PENDING)
        values["deal_status"] = DEALS.get(values.get("stage", Stage.LEAD), DealStatus.WON)
        self._country(item, context)
        self._tax_rate(item)
        self._people(item, context)
        self._credit(item)
        self._change(item)
        keys = listed(item.get("categoryIds"))
        item.many["categories"] = sorted({self.categories[key] for key in keys if key in self.categories})
        item.notes += [f"categoryIds：分类“{key}”不存在" for key in keys if key not in self.categories]
        files = [
            f"旧系统的{label}：{item.get(column)}" for column, label in FILES if not convert.is_blank(item.get(column))
        ]
        if files:
            values["remark"] = "\n".join(files)

    def _country(self, item, context):
        raw = item.get("countryId").strip()
        if raw.isdigit():
            item.notes.append(f"countryId：“{raw}”是旧系统国家主数据的编号，请在新系统里选择国家")
        elif not convert.is_blank(raw):
            item.values["country"] = context.item("country", raw)

    def _tax_rate(self, item):
        raw = item.get("taxRate")
        if convert.is_blank(raw):
            return
        field = Customer._meta.get_field("tax_rate")
        try:
            rate = convert.value_of(Customer._meta.get_field("registered_capital"), raw, {})
            rate = Decimal(raw) * 100 if 0 < rate < 1 else rate
            if not 0 <= rate <= 100:
                raise convert.Unreadable("不在 0 到 100 之间")
            item.values["tax_rate"] = convert.value_of(field, str(rate), {})
        except (convert.Unreadable, ArithmeticError) as problem:
            item.notes.append(f"taxRate：“{raw}”{problem}，保留原值")

    def _people(self, item, context):
        words = listed(item.get("managerIds"))
        if numbers := [word for word in words if word.isdigit()]:
            item.notes.append(f"managerIds：旧系统用户编号 {'、'.join(numbers)} 没有对应的人，请分配负责人")
        people = [context.person(word) for word in words if not word.isdigit()]
        if people:
            item.values["owner"] = people[0]
        item.others = [person for person in dict.fromkeys(people[1:]) if person in self.active and person != people[0]]

    def _credit(self, item):
        item.limits = {}
        if not convert.is_blank(raw := item.get("creditLimit")):
            try:
                item.limits = amounts(raw)
            except convert.Unreadable as problem:
                item.notes.append(f"creditLimit：“{raw[:100]}”{problem}，保留原值")

    def _change(self, item):
        status = item.get("changeStatus").strip()
        item.values["change_status"] = CHANGES.get(status, ChangeStatus.NONE)
        if status == "1":
            item.notes.append("changeStatus：旧系统里变更还在审批，申请没有迁入，请重新提交")

    def worth(self, column, raw, money):
        return sum(amounts(raw).values(), Decimal(0))

    def arrived(self, pairs, context):
        known = set(
            CreditLimit.objects.valid()
            .filter(customer__in=[pk for _, pk in pairs])
            .values_list("customer_id", "currency")
        )
        rows = []
        for item, pk in pairs:
            for currency, amount in item.limits.items():
                if (pk, currency) not in known:
                    known.add((pk, currency))
                    rows.append({"customer_id": pk, "limit_of_id": pk, "currency": currency, "amount": amount})
        bulk.insert(CreditLimit, rows)
        grants = policy_for(Customer).grants.objects.filter(content_object__in=[pk for _, pk in pairs])
        held = set(grants.values_list("content_object_id", "user_id"))
        wanted = [(pk, person) for item, pk in pairs for person in item.others]
        ownership.grant_collaborators(Customer, [pair for pair in wanted if pair not in held])

    def close(self, ids, context):
        """``custLinkCode`` may name customers that came later."""
        records = LegacyRecord.objects.filter(
            system=SYSTEM, table=self.name, content_type=context.type_of(Customer), object_id__in=ids
        )
        wanted = [(record, code) for record in records for code in listed(record.row.get("custlinkcode") or "")]
        keys = {text.fold(code) for _, code in wanted}
        linked = dict(Customer.objects.valid().filter(code_key__in=keys).values_list("code_key", "pk"))
        known = set(CustomerLink.objects.filter(customer__in=ids).values_list("customer_id", "linked_id"))
        rows, noted = [], {}
        for record, code in wanted:
            pair = record.object_id, linked.get(text.fold(code))
            if pair[1] is None:
                note = f"custLinkCode：客户“{code}”不存在"
                if note not in record.notes:
                    record.notes = [*record.notes, note]
                    noted[record.pk] = record
            elif pair not in known and pair[0] != pair[1]:
                known.add(pair)
                rows.append({"customer_id": pair[0], "linked_id": pair[1]})
        bulk.insert(CustomerLink, rows)
        LegacyRecord.objects.bulk_update(noted.values(), ["notes"])


FILES = (("annex", "附件"), ("picture", "图片"))


@table(SYSTEM, "CONTACT", order=30, aliases=("crm_cust_poc",), handled=("defaultFlag",))
class EplusContacts(Table):
    model = Contact
    required = ("customer", "name")

    def adjust(self, item, context):
        item.values.setdefault("name", item.values.get("mobile") or item.values.get("telephone", ""))

    def complete(self, rows, items, context):
        settle_defaults(Contact, rows, items)


@table(
    SYSTEM, "BANK_ACCOUNT", order=31, aliases=("crm_cust_bankaccount",), handled=("defaultFlag",), is_recognised=False
)
class EplusBankAccounts(Table):
    model = BankAccount
    required = ("customer", "account")

    def adjust(self, item, context):
        item.values.setdefault("bank", "（旧系统没有写开户行）")

    def complete(self, rows, items, context):
        settle_defaults(BankAccount, rows, items)


def settle_defaults(model, rows, items) -> None:
    """Of the new parts of a customer the first that is marked is its default, else the first; a stored one stays."""
    customers = {row["customer_id"] for row in rows}
    served = set(model._base_manager.filter(default_of__in=customers).values_list("default_of_id", flat=True))
    marked = [item.get("defaultFlag").strip().lower() in convert.TRUE for item in items]
    for _, row in sorted(zip(marked, rows, strict=True), key=lambda pair: not pair[0]):
        customer = row["customer_id"]
        row["is_default"] = customer not in served
        row["default_of_id"] = None if customer in served else customer
        served.add(customer)


@table(SYSTEM, "COMPANY_PATH", order=32, aliases=("crm_cust_company_path",), handled=("companyPathId", "custCode"))
class EplusPaths(Table):
    """Paths of customers, for export. Only the number of a company path is known: who moves in gives it its name and
    companies."""

    model = CustomerPath
    required = ("customer", "path")

    def prepare(self, items, context):
        self.by_code = context.recognised(Customer, "code_key", {text.fold(item.get("custCode")) for item in items})

    def adjust(self, item, context):
        values = item.values
        if "customer" not in values and (found := self.by_code.get(text.fold(item.get("custCode")))):
            values["customer"] = found
        values["scenario"] = context.item("path_scenario", "出口")
        if number := item.get("companyPathId").strip():
            values["path"] = context.called(CompanyPath, f"旧系统公司路径 {number}"[:100])

    def complete(self, rows, items, context):
        for row in rows:
            row["is_default"] = row["default_of_id"] is not None


@table(SYSTEM, "MARK", order=33, aliases=("crm_mark",), is_recognised=False)
class EplusMarks(Table):
    model = ShippingMark
    required = ("customer", "content")
