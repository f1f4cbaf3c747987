"""Customers, real customers, keys, attachments and the business log of dms. Source: document 000.

People are numbers there and no table names them: each number becomes a disabled account ``dms-<number>``.
``create_user`` falls back to ``create_user_id`` as the migration script of dms says; 0 is nobody.
"""

import json
import re
from ipaddress import ip_address
from uuid import uuid4

from django.core.files import File

from crm import bulk, text
from crm.attachments import Refused, store
from crm.attachments.uploads import checked, kind_of
from crm.legacy import convert
from crm.legacy.attached import Missing, inspect, named
from crm.legacy.tables import Table, table
from crm.models import BusinessLog, DictionaryItem, LegacyRecord, User
from crm.secrets import Secret
from customers.models import ApiCredential, CancelKey, Customer, CustomerAttachment, Kind, RealCustomer
from customers.models.credentials import exactly

SYSTEM, CUSTOMER_LOG, CONTRACT = "dms-customer", "5", "contract"
KEPT = ("created_at", "created_by_id")  # of an attachment, whose content never changes
AUTHORS = {"created_by": ("create_user", "create_user_id"), "updated_by": ("update_user", "update_user_id")}


def authors(item, context) -> dict[str, int]:
    """``{field: id}`` of the accounts that the numbers of a row stand for."""
    found = {}
    for name, columns in AUTHORS.items():
        said = (text.clean_text(item.get(column)) for column in columns)
        number = next((word for word in said if not convert.is_blank(word) and word != "0"), None)
        if number is not None:
            found[name] = context.person(f"dms-{number}" if number.isdigit() else number)
    return found


class DmsTable(Table):
    handled = ("create_user", "create_user_id", "update_user", "update_user_id")

    def adjust(self, item, context):
        item.values |= authors(item, context)


def find_file(item, column, name, path, values, context) -> None:
    """Look for the file of ``column``: ``item.files`` has it, with the ``values`` of its record, or the notes say why
    not."""
    place = f"（在旧系统的 {path}）" if path else ""
    if context.files is None:
        item.notes.append(f"{column}：文件不在数据库里，请把“{name}”{place}上传到客户附件，或给出附件文件夹再迁一次")
        return
    try:
        found = context.files.find(name, path)
        inspect(found, named(name, found))
        item.files[column] = found, values
    except Missing as problem:
        item.notes.append(f"{column}：{problem}{place}")
    except (Refused, OSError) as problem:
        why = "；".join(problem.messages) if isinstance(problem, Refused) else f"“{name}”无法读取"
        item.notes.append(f"{column}：{why}")


def attach(pairs, name, context) -> dict[int, str]:
    """Attach the files of ``[(item, customer id)]``, once each; gives what is to be said, by number of the row.

    Which were attached before is known by old key and column.
    """
    wanted = {f"{item.key}.{column}": (item, pk, column) for item, pk in pairs for column in item.files}
    rows = LegacyRecord.objects.filter(system=SYSTEM, table=f"{name}.file", key__in=wanted)
    done, said, taken = set(rows.values_list("key", flat=True)), {}, {}
    for key, (item, customer, column) in wanted.items():
        if key in done:
            continue
        path, values = item.files[column]
        try:
            with path.open("rb") as file, checked(File(file, name=named(item.get(column), path))) as (copy, stored):
                store.place(copy)
        except Refused as problem:
            said[item.number] = "；".join(problem.messages)
            continue
        taken[key] = _row(values) | stored | {"customer_id": customer}
        if not taken[key].get("kind_id"):
            taken[key]["kind_id"] = getattr(kind_of(stored["extension"]), "pk", None)
    ids = bulk.insert(CustomerAttachment, list(taken.values()))
    origin = {"load": context.load, "system": SYSTEM, "table": f"{name}.file"}
    made = {"content_type": context.type_of(CustomerAttachment), "outcome": LegacyRecord.Outcome.CREATED}
    LegacyRecord.objects.bulk_create(
        LegacyRecord(**origin, **made, key=key, object_id=pk, row=_shown(wanted[key][0]))
        for key, pk in zip(taken, ids, strict=True)
    )
    if ids:
        context.made["客户附件"] = context.made.get("客户附件", 0) + len(ids)
    return said


def _row(values) -> dict:
    fields = [field for field in CustomerAttachment._meta.concrete_fields if not field.primary_key]
    defaults = {field.attname: field.get_default() for field in fields if field.has_default()}
    own = {field.attname: values[field.name] for field in fields if field.name in values}
    return {name: value for name, value in (defaults | own).items() if name not in bulk.STAMPS - {*KEPT}}


def _shown(item) -> dict:
    return {name: item.raw[name] for name in ("filename", "filepath", "contractname") if item.raw.get(name)}


@table("dms-customer", "real_customers_info", order=10, key="real_customers_id")
class RealCustomers(DmsTable):
    model = RealCustomer
    required = ("code", "name")


@table("dms-customer", "customer", order=20, key="customer_id")
class DmsCustomers(DmsTable):
    """Customers by code, with their contact and their app. Files do not lie in a database: those of contract and file
    are looked for by name in the folder of the old files, else the names stay among the old values."""

    model = Customer
    chunk = 100
    tells_again = ("contract_name", "file_name")
    required = ("name",)
    handled = (*DmsTable.handled, "contract_name", "file_name", "app_secret")

    def prepare(self, items, context):
        """App ids that others have, by the old key of the row that may not have them again."""
        kinds = DictionaryItem.objects.filter(type="attachment_kind", code=CONTRACT)
        self.contract = kinds.values_list("pk", flat=True).first()
        ids = {item.key: exactly(item.get("app_id")) for item in items if item.get("app_id")}
        rows = ApiCredential._base_manager.filter(app_id_key__in=ids.values())
        taken, self.taken = set(rows.values_list("app_id_key", flat=True)), set()
        for key, app_id in ids.items():
            if app_id in taken:
                self.taken.add(key)
            taken.add(app_id)

    def adjust(self, item, context):
        super().adjust(item, context)
        item.values.setdefault("kind", Kind.COMPANY)
        author = {"created_by": item.values["created_by"]} if "created_by" in item.values else {}
        for column, kind in (("contract_name", {"kind": self.contract}), ("file_name", {})):
            if not convert.is_blank(item.get(column)):
                find_file(item, column, item.get(column), "", author | kind, context)
        credential = item.parts.pop(ApiCredential, {})
        secret = item.get("app_secret")
        if credential.get("app_id") and item.key not in self.taken and secret:
            item.parts[ApiCredential] = credential | {"app_secret": Secret.seal(secret)}
        elif credential.get("app_id"):
            why = "已被别的凭证使用" if item.key in self.taken else "没有密钥"
            item.notes.append(f"app_id：“{credential['app_id']}”{why}，没有建接口凭证")
        elif secret:
            item.notes.append("app_secret：有密钥而没有 app_id，没有建接口凭证")

    def came(self, pairs, context):
        return attach(pairs, self.name, context)


@table(
    "dms-customer",
    "customer_cancel_key",
    order=30,
    key="aid",
    links={"customer_id": "customer", "customer_code": "customer.code"},
    silent={"customer_id": ("0",)},
    is_recognised=False,
)
class CancelKeys(DmsTable):
    """Keys by the code of the customer, else by his number. A name that the customer has already is refused."""

    model = CancelKey
    required = ("customer", "app_key", "app_token")
    handled = (*DmsTable.handled, "app_token")

    def adjust(self, item, context):
        super().adjust(item, context)
        if token := item.get("app_token"):
            item.values["app_token"] = Secret.seal(token)
        if "customer" not in item.values:
            item.refused = f"客户 {item.get('customer_code') or item.get('customer_id') or '（空）'} 不存在"

    def judge(self, items, context):
        going = [item for item in items if not item.refused]
        rows = CancelKey._base_manager.filter(customer__in={item.values["customer"] for item in going})
        taken = set(rows.values_list("customer_id", "app_key_key"))
        words = [(item.values["customer"], exactly(item.values["app_key"])) for item in going]
        seen = context.staging.seen("CancelKey", map(repr, words)) if not context.write else {}
        for item, word in zip(going, words, strict=True):
            if word in taken or repr(word) in seen:
                item.refused = f"该客户已有或曾有密钥标识“{word[1]}”"
            taken.add(word)
        if not context.write:
            context.staging.saw("CancelKey", {repr(word): 0 for word in words})


@table(
    "dms-customer",
    "customer_attached",
    order=35,
    key="attached_id",
    links={"customer_id": "customer", "customer_code": "customer.code"},
    silent={"customer_id": ("0",)},
    is_recognised=False,
)
class Attached(DmsTable):
    """Files of customers: those that lie in the folder of the old files become attachments, with the name, the author
    and the time of the row; of the others, what is known stays with the customer."""

    model = Customer
    chunk = 20
    tells_again = ("file_name",)

    def adjust(self, item, context):
        known = item.parts.pop(CustomerAttachment, {})
        item.target = known.get("customer")
        if item.target is None:
            item.refused = f"客户 {item.get('customer_code') or item.get('customer_id') or '（空）'} 不存在"
        known |= authors(item, context)
        find_file(item, "file_name", item.get("file_name"), item.get("file_path"), known, context)

    def came(self, pairs, context):
        return attach(pairs, self.name, context)


@table(
    "dms-customer",
    "dms_business_log",
    order=90,
    key="log_id",
    links={"business_no": "customer.code"},
    handled=("old_value", "new_value", "change_fields", "create_user"),
    is_recognised=False,
)
class DmsLog(Table):
    """Entries of source 5 about customers that came along; other sources belong to other systems."""

    model = BusinessLog
    required = ("operation",)

    def prepare(self, items, context):
        """The customers that the entries speak of."""
        codes = {item.get("business_no") for item in items}
        self.customers = context.named(DmsCustomers(), "code", codes)
        rows = Customer._base_manager.in_bulk({pk for pk in self.customers.values() if pk > 0})
        self.shown = {pk: str(customer)[:200] for pk, customer in rows.items()}

    def adjust(self, item, context):
        values = item.values
        if item.get("business_source").strip() != CUSTOMER_LOG:
            item.refused = f"业务来源 {item.get('business_source') or '（空）'} 不属于客户管理"
            return
        customer = self.customers.get(item.get("business_no"))
        if customer is None:
            item.refused = f"客户 {item.get('business_no') or '（空）'} 不存在"
            return
        kind = context.type_of(Customer)
        values |= {"content_type": kind.pk, "object_id": customer, "root_type": kind.pk, "root_id": customer}
        values["object_repr"] = self.shown.get(customer, "")
        values["changes"] = changes(item.get("change_fields"), item.get("old_value"), item.get("new_value"))
        if (address := values.get("ip")) and not _is_address(address):
            item.notes.append(f"ip_address：“{values.pop('ip')}”不是 IP 地址，保留原值")
        person = authors(item, context).get("created_by")
        values |= {"user": person} if person else {}

    def insert(self, rows, items):
        people = User.objects.in_bulk({row.get("user_id") for row in rows} - {None})
        batch = f"legacy-{uuid4().hex}"[:40]
        for row in rows:
            row |= {"user_name": str(people.get(row.get("user_id"), "旧系统"))[:100], "batch": batch}
        BusinessLog.objects.bulk_create([BusinessLog(**row) for row in rows])
        return list(BusinessLog.objects.filter(batch=batch).order_by("pk").values_list("pk", flat=True))


def _is_address(raw) -> bool:
    try:
        return bool(ip_address(raw))
    except ValueError:
        return False


def changes(names, old, new) -> dict[str, list]:
    """``{field: [old, new]}`` out of three texts: objects or lists of JSON, else words parted by commas."""
    names, old, new = _read(names), _read(old), _read(new)
    if isinstance(names, dict):
        names = list(names)
    if isinstance(old, dict) or isinstance(new, dict):
        keys = names or [*(old if isinstance(old, dict) else ()), *(new if isinstance(new, dict) else ())]
        return {str(key): [_of(old, key), _of(new, key)] for key in dict.fromkeys(map(str, keys))}
    if names and all(isinstance(part, list) and len(part) == len(names) for part in (old, new)):
        return {str(name): [before, after] for name, before, after in zip(names, old, new, strict=True)}
    word = "、".join(map(str, names)) if names else "内容"
    told = [_word(part) for part in (old, new)]
    return {word: told} if any(told) or names else {}


def _read(raw):
    if convert.is_blank(raw):
        return []
    try:
        found = json.loads(raw)
    except ValueError:
        return [word.strip() for word in re.split(r"[,，;；]", raw) if word.strip()]
    return found if isinstance(found, dict | list) else [found]


def _word(part):
    return "、".join(map(str, part)) or None if isinstance(part, list) else part


def _of(values, key):
    return values.get(key) if isinstance(values, dict) else None
