"""Work orders, churn and measures against it, from java-crm."""

from django.utils import timezone

from crm import bulk, numbering, text
from crm.excel.resource import resource_for
from crm.legacy import convert
from crm.legacy.load import Loader
from crm.legacy.tables import Table, table, table_named
from crm.models import LegacyRecord, User
from customers.models import Customer, Kind, Priority, ReviewStatus, Stars
from service.models import (
    PENDING,
    UNSOLVED,
    CustomerLoss,
    EntryKind,
    LossStatus,
    RetentionMeasure,
    WorkOrder,
    WorkOrderEntry,
    WorkOrderStatus,
)
from service.services import targets

TYPE = "work_order_type"
TYPES = "服务类型"


@table(
    "java-crm",
    "t_customer_serve",
    order=60,
    aliases=("t_customer_service",),
    links={"customer": "t_customer.name"},
    handled=("serve_type",),
    synonyms={
        "service_type": "serve_type",
        "create_person": "create_people",
        "create_man": "create_people",
        "assign_person": "assigner",
        "assign_man": "assigner",
        "assign_date": "assign_time",
        "service_process": "service_proce",
        "process_person": "service_proce_people",
        "process_date": "service_proce_time",
        "process_result": "service_proce_result",
        "satisfaction": "myd",
    },
    required=("customer",),
    is_recognised=False,
    fills_blanks=False,
)
class JavaWorkOrders(Table):
    """Services are work orders; ``serve_type`` is a word, or the key of one in the dictionary of the old system.

    What was done becomes an entry, and so does every step of which the old row knows the time. The targets of an order
    that is not solved are counted from now, so that nobody is called to account for the years before.
    """

    model = WorkOrder

    def prepare(self, items, context):
        if not hasattr(self, "types"):
            self.types = _words_of(context, TYPES)
        self.strangers = self._make_customers(items, context) if context.load.options.get("strangers") else {}

    def _make_customers(self, items, context) -> dict[str, int]:
        """``{folded name: id}`` of new customers, for names that nobody has."""
        names = {text.fold(word): word for item in items if (word := text.clean_text(item.get("customer")))}
        customers = table_named("java-crm", "t_customer")
        known = context.named(customers, "name", set(names.values()))
        missing = {key: word[:200] for key, word in names.items() if word not in known}
        if context.write:
            remark = f"从 {context.system} 迁入：旧系统里只有服务记录"
            common = {"kind": Kind.COMPANY, "review_status": ReviewStatus.APPROVED, "remark": remark}
            rows = [{"name": word, **common} for word in missing.values()]
            resource_for("customers.Customer").fill_blanks(rows)
            ids = bulk.insert(Customer, rows)
        else:
            ids = [context.plan() for _ in missing]
            context.remember(customers, "name", list(zip(missing.values(), ids, strict=True)))
        if missing:
            context.made["客户"] = context.made.get("客户", 0) + len(missing)
        return dict(zip(missing, ids, strict=True))

    def adjust(self, item, context):
        values = item.values
        if (stranger := self.strangers.get(text.fold(item.get("customer")))) is not None:
            values["customer"] = stranger
            item.notes = [f"客户“{item.get('customer')}”原来没有，已按名称新建"]
        if "customer" not in values:
            item.refused = f"没有名为“{item.get('customer') or '（空）'}”的客户"
            return
        values["type"] = self._type(item, context)
        title = values.get("title") or values.get("content", "").strip().split("\n")[0] or "（旧系统没有写概要）"
        values["title"] = title[:500]
        values["content"] = values.get("content") or title
        entry = item.parts.get(WorkOrderEntry, {})
        done_at = entry.get("time") or values.get("updated_at")
        values["status"] = _status(values, entry)
        moments = {
            "responded_at": (entry.get("time"), WorkOrderStatus.PROCESSING),
            "solved_at": (done_at, WorkOrderStatus.SOLVED),
            "archived_at": (values.get("updated_at") or done_at, WorkOrderStatus.ARCHIVED),
        }
        reached = WorkOrderStatus.values.index(values["status"])
        for name, (moment, step) in moments.items():
            if moment and reached >= WorkOrderStatus.values.index(step):
                values[name] = moment
        if values.get("satisfaction"):
            values["answered_at"] = values.get("updated_at") or done_at
        if entry and not entry.get("content"):
            item.parts.pop(WorkOrderEntry)
        elif entry:
            entry.setdefault("time", done_at or values.get("created_at") or timezone.now())

    def _type(self, item, context):
        raw = text.clean_text(item.get("serve_type"))
        word = self.types.get(raw, raw)
        if word and not convert.is_key(word):
            return context.item(TYPE, word)
        if word:
            item.notes.append(f"serve_type：旧系统的数据字典里没有 {raw}，归入“其他”")
        return context.item(TYPE, "其他")

    def complete(self, rows, items, context):
        numbers = iter(numbering.take("work_order", len(rows)))
        order = WorkOrder(priority=Priority.NORMAL, created_at=timezone.now())
        targets.set_targets(order)
        for row in rows:
            row |= {"number": next(numbers), "priority": Priority.NORMAL}
            if row["status"] in UNSOLVED:
                row["resolution_due"] = row["due_at"] = order.resolution_due
                row["response_due"] = order.response_due
                if row.get("responded_at") is None:
                    row["due_at"] = order.due_at
                row["warn_at"] = order.warn_at

    def arrived(self, pairs, context):
        """The steps that the old row knows of, beside the entry of what was done."""
        people = User.objects.in_bulk({item.values.get("owner") for item, _ in pairs} - {None})
        entries = []
        for item, pk in pairs:
            values = item.values
            stars = values.get("satisfaction")
            author = item.parts.get(WorkOrderEntry, {}).get("author")
            steps = [
                (EntryKind.OPENED, values.get("created_at"), f"员工创建：{values['title']}", values.get("created_by")),
                (EntryKind.ASSIGNED, values.get("assigned_at"), f"分配给{people.get(values.get('owner'))}", None),
                (
                    EntryKind.SOLVED,
                    values.get("solved_at"),
                    values.get("solution") or "（旧系统没有写处理结果）",
                    author,
                ),
                (EntryKind.ANSWERED, values.get("answered_at") if stars else None, stars and Stars(stars).label, None),
                (EntryKind.ARCHIVED, values.get("archived_at"), "归档", None),
            ]
            entries += [
                {
                    "work_order_id": pk,
                    "kind": kind,
                    "time": moment,
                    "content": content,
                    "author_id": person,
                    "satisfaction": stars if kind == EntryKind.ANSWERED else None,
                    "is_valid": values.get("is_valid", True),
                }
                for kind, moment, content, person in steps
                if moment and (kind != EntryKind.ASSIGNED or values.get("owner"))
            ]
        bulk.insert(WorkOrderEntry, entries)


def _status(values, entry) -> str:
    """What the old row says, else what it shows to have been done; an order that somebody has is assigned."""
    status = values.get("status")
    if status is None:
        if values.get("solution") or values.get("satisfaction"):
            return WorkOrderStatus.SOLVED
        status = WorkOrderStatus.PROCESSING if entry.get("content") else WorkOrderStatus.CREATED
    if status == WorkOrderStatus.CREATED and values.get("owner"):
        return WorkOrderStatus.ASSIGNED
    return status


def _words_of(context, name) -> dict[str, str]:
    """``{old key: word}`` of the dictionary ``name`` of the old system."""
    staged = next((each for each in context.staging.tables() if each.lower() == "t_datadic"), None)
    found, after = {}, 0
    while rows := context.staging.chunk(staged, after, 5000) if staged else ():
        after = rows[-1][0]
        plain = [{key.replace("_", "").lower(): value for key, value in row.items()} for _, row in rows]
        found |= {row["id"]: row["datadicvalue"] for row in plain if row.get("datadicname") == name}
    return found


@table(
    "java-crm",
    "t_customer_loss",
    order=65,
    links={"cus_no": "t_customer.code"},
    required=("customer",),
    by="customer",
    blends=True,
)
class JavaLosses(Table):
    """Churn by customer number, or by a name that only one customer has where there is no number. Rows that repeat a
    customer are one case: in order of time, the last one says how it stands, and the reasons follow one another."""

    model = CustomerLoss

    def recognises(self, item):
        return item.values.get("is_valid", True)

    def prepare(self, items, context):
        names = {_unnumbered(item) for item in items} - {""}
        customers = table_named("java-crm", "t_customer")
        self.named = context.named(customers, "name", names, alone=True) if names else {}

    def adjust(self, item, context):
        values = item.values
        if (customer := self.named.get(_unnumbered(item))) is not None:
            values["customer"] = customer
            item.notes.append(f"cus_no 为空，按名称“{_unnumbered(item)}”对应客户")
        if "customer" not in values:
            item.refused = f"没有编号为“{item.get('cus_no') or '（空）'}”的客户（{item.get('cus_name') or '名称为空'}）"
            return
        confirmed = values.get("confirmed_on")
        status = values.setdefault("status", LossStatus.LOST if confirmed else LossStatus.REPRIEVED)
        known = [_day(values.get(name)) for name in ("updated_at", "created_at", "last_order_date")]
        if status == LossStatus.LOST and confirmed is None:
            values["confirmed_on"] = next(filter(None, known), timezone.localdate())
            item.notes.append(f"confirm_loss_time 为空，确认流失日期取 {values['confirmed_on']}")
        values["warned_on"] = _day(values.get("created_at")) or values.get("confirmed_on") or timezone.localdate()
        if not values.get("created_at"):
            item.notes.append(f"旧系统没有记录入日期，预警日期取 {values['warned_on']}")

    def complete(self, rows, items, context):
        for row in rows:
            row["open_key"] = row["customer_id"] if row["is_valid"] and row["status"] in PENDING else None

    def finish(self, context):
        """Put together what this load brought of cases that have several rows."""
        rows = LegacyRecord.objects.filter(system=self.system, table=self.name)
        merged = rows.filter(load=context.load, outcome=LegacyRecord.Outcome.MERGED)
        made = rows.filter(
            outcome=LegacyRecord.Outcome.CREATED, object_id__in=list(merged.values_list("object_id", flat=True))
        )
        ids = sorted(made.values_list("object_id", flat=True))
        loader = Loader(self, self.name, context)
        for pk, row in bulk.stored_rows(CustomerLoss, ids, lock=True).items():
            items = loader.items(enumerate(rows.filter(object_id=pk).order_by("pk").values_list("row", flat=True)))
            before = bulk.states(CustomerLoss, [row])[0]
            row |= _blended([item.values for item in sorted(items, key=_when)])
            self.complete([row], None, context)
            after = bulk.states(CustomerLoss, [row])[0]
            changes = {name: [before[name], after[name]] for name in before if before[name] != after[name]}
            if changes:
                bulk.update(
                    CustomerLoss, [row], [changes], remark="同一客户的流失记录按时间先后合并", keeps_stamps=True
                )


def _unnumbered(item) -> str:
    """The name of the customer of a churn row that has no number."""
    return text.clean_text(item.get("cus_name")) if convert.is_blank(item.get("cus_no")) else ""


def _when(item):
    values = item.values
    moment = values.get("created_at")
    day = _day(moment) or values.get("confirmed_on") or values.get("last_order_date")
    return (day or timezone.localdate()).isoformat(), item.key.zfill(20)


def _blended(cases) -> dict:
    """One case out of several, in order of time."""
    last = cases[-1]
    reasons = dict.fromkeys(case["reason"] for case in cases if case.get("reason"))
    ordered = [case["last_order_date"] for case in cases if case.get("last_order_date")]
    confirmed = [case["confirmed_on"] for case in cases if case.get("confirmed_on")]
    return {
        "status": last["status"],
        "reason": "；".join(reasons)[:1000],
        "last_order_date": max(ordered, default=None),
        "confirmed_on": confirmed[-1] if confirmed and last["status"] == LossStatus.LOST else None,
        "warned_on": cases[0]["warned_on"],
    }


def _day(value):
    """The day of a moment or of a day; None of nothing."""
    return timezone.localtime(value).date() if hasattr(value, "hour") else value


@table(
    "java-crm",
    "t_customer_reprieve",
    order=70,
    required=("loss", "content"),
    is_recognised=False,
)
class JavaMeasures(Table):
    """Measures of churn cases; one whose case is gone is refused and listed."""

    model = RetentionMeasure

    def adjust(self, item, context):
        if "loss" not in item.values:
            item.refused = f"流失记录 {item.get('loss_id') or '（空）'} 不存在或没有迁入"
        if moment := item.values.get("created_at"):
            item.values["date"] = _day(moment)

    def complete(self, rows, items, context):
        """A measure of which nobody wrote the day was taken before its case was settled."""
        undated = [(row, item) for row, item in zip(rows, items, strict=True) if "date" not in item.values]
        losses = CustomerLoss._base_manager.in_bulk({row["loss_id"] for row, _ in undated})
        for row, item in undated:
            loss = losses[row["loss_id"]]
            row["date"] = loss.confirmed_on or loss.warned_on
            item.notes.append(f"旧系统没有记日期，取 {row['date']}")
