"""How the parts of two customers become those of one, where they are not simply moved (``merge_ledger.MERGES``)."""

from customers.models import BankAccount, CancelKey, Contact, CreditLimit, CustomerLink, CustomerPath
from customers.services.merge_ledger import MERGES, relations, stays

FILLED = ("sex", "position", "telephone", "email", "wechat", "qq", "address", "preference_id", "birthday", "is_key")


def contacts(ledger, rows, survivor):
    """Two of one mobile number are one person: the survivor's stays, gets what it lacks, and is named instead."""
    known = {row.mobile_key: row for row in Contact.objects.valid().filter(customer=survivor) if row.mobile_key}
    for row in rows:
        same = known.get(row.mobile_key)
        if same is None:
            _move_part(ledger, row, survivor)
            continue
        missing = {name: getattr(row, name) for name in FILLED if getattr(row, name) and not getattr(same, name)}
        if missing:
            ledger.change(same, **missing)
        _name_instead(ledger, row, same)
        ledger.change(row, is_valid=False, is_default=False)


def _name_instead(ledger, contact, other):
    """Whatever names ``contact`` names ``other``."""
    for column in relations(Contact).values():
        for row in column.model._base_manager.filter(**{column.name: contact}).order_by("pk"):
            ledger.change(row, **{column.attname: other.pk})


def _move_part(ledger, row, survivor, **within):
    """One default stays one: the survivor's, if it has one."""
    has_default = type(row)._base_manager.filter(customer=survivor, is_default=True, is_valid=True, **within).exists()
    ledger.change(row, customer_id=survivor.pk, is_default=row.is_default and not has_default)


def bank_accounts(ledger, rows, survivor):
    for row in rows:
        _move_part(ledger, row, survivor)


def paths(ledger, rows, survivor):
    known = set(CustomerPath.objects.valid().filter(customer=survivor).values_list("scenario_id", "path_id"))
    for row in rows:
        if (row.scenario_id, row.path_id) in known:
            ledger.left.append(f"公司路径“{row.scenario} {row.path}”：保留的客户已有同样的")
        else:
            _move_part(ledger, row, survivor, scenario_id=row.scenario_id)


def limits(ledger, rows, survivor):
    known = {limit.currency: limit for limit in CreditLimit.objects.valid().filter(customer=survivor)}
    for row in rows:
        if same := known.get(row.currency):
            ledger.leave(row, f"{row.amount:,.2f}，保留的客户已有同币种额度 {same.amount:,.2f}，以后者为准")
        else:
            ledger.change(row, customer_id=survivor.pk)


def cancel_keys(ledger, rows, survivor):
    known = set(CancelKey._base_manager.filter(customer=survivor).values_list("app_key_key", flat=True))
    for row in rows:
        if row.app_key_key in known:
            ledger.leave(row, "保留的客户已有或曾有同名的密钥，这一个不再可用")
        else:
            ledger.change(row, customer_id=survivor.pk)


def links(ledger, rows, survivor):
    _link(ledger, rows, survivor, "customer_id", "linked_id")


def links_back(ledger, rows, survivor):
    _link(ledger, rows, survivor, "linked_id", "customer_id")


def _link(ledger, rows, survivor, near, far):
    """A tie between the two, or one that the survivor has as well, is no tie any more."""
    known = set(CustomerLink._base_manager.filter(**{near: survivor.pk}).values_list(far, flat=True))
    for row in rows:
        if getattr(row, far) in known | {survivor.pk}:
            ledger.change(row, is_valid=False)
        else:
            ledger.change(row, **{near: survivor.pk})


SPECIAL = {
    Contact: {"customer": contacts},
    BankAccount: {"customer": bank_accounts},
    CustomerPath: {"customer": paths},
    CreditLimit: {"customer": limits},
    CancelKey: {"customer": cancel_keys},
    CustomerLink: {"customer": links, "linked": links_back},
}
# the past of the one customer, and markers that follow from other columns
STAY = [
    "OwnershipPeriod.customer",
    "StagePeriod.customer",
    "CustomerMerge.survivor",
    "CustomerMerge.loser",
    "Contact.default_of",
    "BankAccount.default_of",
    "CustomerPath.default_of",
    "CustomerPath.valid_of",
    "CreditLimit.limit_of",
]


def register():
    for model, providers in SPECIAL.items():
        for name, provider in providers.items():
            MERGES.add(f"{model._meta.label}.{name}", provider)
    for name in STAY:
        MERGES.add(f"customers.{name}", stays)
