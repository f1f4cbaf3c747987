"""Check: every row of a file becomes a staged row that says what it would do, or why it cannot.

Reads only what the importer may see, writes nothing but staged rows; runs as a job, chunk by chunk, with the file
streamed, so that memory does not grow with the file.
"""

import hashlib
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice, zip_longest

from django.db.models import Count, F, Max, Q

from crm import audit, bulk
from crm.excel import files
from crm.excel.companion import PREFIX
from crm.excel.reader import WorkbookError
from crm.excel.resource import Resource, resource_for
from crm.excel.widgets import CellProblem, Context, LookupWidget
from crm.jobs import JobError
from crm.models import ImportBatch, ImportRow
from crm.policies import OwnedPolicy

CHUNK = 2000
UNKNOWN_LIMIT = 200
KNOWN_TEXTS = 2000
Kind = ImportRow.Kind


def fingerprint(key) -> str:
    return hashlib.blake2b("\x00".join(key).encode(), digest_size=16).hexdigest() if key else ""


class Seen:
    """Whether a key may have come before, in 16 MiB however many there are (a Bloom filter with two hashes).

    Of a million keys, one in a hundred is asked for in vain; none that came before is ever missed.
    """

    SLOTS = 1 << 24

    def __init__(self):
        self.slots = bytearray(self.SLOTS)

    def add(self, key) -> bool:
        """Take ``key`` (a fingerprint); says whether it may have been there."""
        one, two = int(key[:6], 16), int(key[6:12], 16)
        known = self.slots[one] and self.slots[two]
        self.slots[one] = self.slots[two] = 1
        return bool(known)


class Checker:
    """Checks the rows of one batch for one person."""

    def __init__(self, batch: ImportBatch, user):
        self.batch, self.user = batch, user
        self.resource: Resource = resource_for(batch.resource)
        options = batch.options
        self.context = Context(user, options.get("values", {}))
        self.fields = self.resource.visible(user, importing=True)
        self.columns = {int(i): name for i, name in batch.mapping.items() if name in self.fields}
        self.defaults = {name: word for name, word in options.get("defaults", {}).items() if name in self.fields}
        self.existing = options.get("existing", "update")
        self.allow_rename = bool(options.get("rename"))
        self.unknown: dict[str, Counter] = {}
        self.companion = self.resource.companion
        self.merged: list = []
        self.known: dict[int, dict] = {index: {} for index in self.columns}
        self.seen = Seen()
        for key in ImportRow.objects.filter(batch=batch).exclude(key="").values_list("key", flat=True).iterator():
            self.seen.add(key)

    def chunk(self, rows) -> list[dict]:
        """Staged rows for ``rows`` of the file."""
        staged = self._parse([row for row in rows if any(cell not in (None, "") for cell in row.cells)])
        self._place(staged)
        for row in staged:
            row["key_pair"] = self.resource.key_of(row["values"])
            row["key"] = fingerprint(row["key_pair"])
        self._refuse_repeated(staged)
        self._recognise([row for row in staged if row["kind"] == Kind.NEW and not row["problems"]])
        for row in staged:
            first = row.pop("repeats", None)
            if first and row["kind"] == Kind.CHANGED:
                row["problems"].append(self._repeated(row, first))
            if row["problems"] and row["kind"] != Kind.CONFLICT:
                row["kind"] = Kind.ERROR
            del row["key_pair"]
        return staged

    def _place(self, staged):
        """Lines find their heads."""

    def _derived(self, row, stored) -> dict:
        """Values that follow from those of the row; heads have none."""
        return {}

    # --- Cells -------------------------------------------------------------------------------------------------------

    def _parse(self, rows) -> list[dict]:
        staged = [
            {
                "number": row.number,
                "kind": int(Kind.NEW),
                "label": "",
                "values": {},
                "changes": {},
                "problems": [],
                "target_id": None,
                "target_version": None,
                "head": "",
                "position": None,
            }
            for row in rows
        ]
        columns = list(zip_longest(*[row.cells for row in rows]))
        for index, name in self.columns.items():
            cells = columns[index] if index < len(columns) else [None] * len(rows)
            self._parse_column(index, name, cells, rows, staged)
        required = [name for name, field in self.fields.items() if field.required]
        for row in staged:
            values, problems = row["values"], row["problems"]
            if self.defaults:
                self._fill_defaults(values)
            for name in required:
                if name not in values and not any(problem["name"] == name for problem in problems):
                    problems.append(self._problem(self._index(name), name, "不能为空。"))
            row["label"] = self.resource.describe(values)
        return staged

    def _parse_column(self, index, name, cells, rows, staged):
        """Column by column, since what a column needs is looked up once, and plain text is judged as a whole."""
        widget, known = self.fields[name].widget, self.known[index]
        if widget.preload(cells, self.context):
            known.clear()
        values = widget.clean_column(cells)
        if values is None:
            values = self._parse_each(index, name, cells, staged)
        for value, cell, row, staged_row in zip(values, cells, rows, staged, strict=True):
            if value or not (value is None or value == "" or value == []):
                staged_row["values"][name] = value
            elif cell is None and self.merged and self._inside_merged(row.number, index):
                problem = self._problem(index, name, "是合并单元格的一部分，请取消合并并逐行填写。")
                staged_row["problems"].append(problem)

    def _parse_each(self, index, name, cells, staged) -> list:
        """The values of ``cells``, None where there is a problem; texts are remembered, as most repeat a few."""
        clean, context, known = self.fields[name].widget.clean, self.context, self.known[index]
        if known.keys() >= set(cells):
            return [known[cell] for cell in cells]
        values, room = [], KNOWN_TEXTS - len(known)
        for cell, row in zip(cells, staged, strict=True):
            is_text = type(cell) is str
            if is_text and cell in known:
                values.append(known[cell])
                continue
            try:
                value = clean(cell, context=context)
            except CellProblem as error:
                row["problems"].append(self._problem(index, name, error))
                value = None
            else:
                if is_text and room > 0:
                    known[cell] = value
                    room -= 1
            values.append(value)
        return values

    def _fill_defaults(self, values):
        for name, word in self.defaults.items():
            if name not in values and word not in (None, ""):
                try:
                    value = self.fields[name].widget.clean(word, context=self.context)
                except CellProblem:
                    continue
                if value not in (None, "", []):
                    values[name] = value

    def _problem(self, index, name, error) -> dict:
        title = self.fields[name].column_name if name else ""
        unknown = getattr(error, "unknown", None)
        if unknown is not None:
            words = self.unknown.setdefault(name, Counter())
            if unknown in words or len(words) < UNKNOWN_LIMIT:
                words[unknown] += 1
        return {"index": index, "name": name, "text": f"{title}{error}" if title else str(error)}

    def _inside_merged(self, number, index):
        return any(
            top <= number <= bottom and left <= index + 1 <= right and (number, index + 1) != (top, left)
            for top, left, bottom, right in self.merged
        )

    # --- Records -----------------------------------------------------------------------------------------------------

    def _refuse_repeated(self, staged):
        """A second row about the same record is skipped if it says the same, else an error that names the first."""
        first = min((row["number"] for row in staged), default=0)
        earlier = {}
        if keys := {row["key"] for row in staged if row["key"] and self.seen.add(row["key"])}:
            before = ImportRow.objects.filter(bulk.among("key", keys), batch=self.batch, number__lt=first)
            earlier = {key: (number, values) for key, number, values in before.values_list("key", "number", "values")}
        for row in staged:
            if not row["key"]:
                continue
            if row["key"] not in earlier:
                earlier[row["key"]] = row["number"], row["values"]
                continue
            number, values = earlier[row["key"]]
            if values == row["values"] and not row["problems"]:
                row["kind"], row["values"] = Kind.UNCHANGED, {}
            elif values:
                row["problems"].append(self._repeated(row, number))
            else:  # the first one agreed with the stored record: so must this one
                row["repeats"] = number
            row["key"] = ""

    def _repeated(self, row, number) -> dict:
        name = self._key_name(row["key_pair"])
        text = f"“{row['values'].get(name)}”与第 {number} 行重复，同一文件中只能出现一次。"
        return self._problem(self._index(name), name, text)

    def _key_name(self, pair):
        return next(name for name, key in self.resource._meta.keys if key == pair[0])

    def _recognise(self, staged):
        found = self.resource.find({row["key_pair"] for row in staged if row["key_pair"]})
        ids = {abs(pk) for pks in found.values() for pk in pks}
        stored = bulk.stored_rows(self.resource.model, ids)
        may_change = set(
            self.resource.policy.visible_to(self.user, "change")
            .filter(bulk.among("pk", ids))
            .values_list("pk", flat=True)
        )
        may_view = set(self._seen(ids - may_change))
        may_add = self.resource.policy.allows(self.user, "add")
        parts = self.companion.stored(ids) if self.companion and ids else {}
        closed = self.resource.closed(stored.values())
        many = self._stored_many(ids)
        for row in staged:
            matches = found.get(row["key_pair"], []) if row["key_pair"] else []
            if not matches:
                self._as_new(row, may_add)
            elif len(matches) > 1:
                self._conflict(row, f"有 {len(matches)} 条同名记录，请填写代码以确定是哪一条。")
            elif matches[0] < 0:
                self._conflict(row, "该代码属于一条已删除的记录，不能再次使用。")
            elif matches[0] not in may_change | may_view:
                self._conflict(row, self._foreign(row, stored[matches[0]]))
            else:
                pk = matches[0]
                self._as_changed(row, stored[pk], many.get(pk, {}), parts.get(pk, []))
                if pk in closed and row["kind"] == Kind.CHANGED:
                    self._conflict(row, closed[pk])
                elif pk not in may_change and row["kind"] == Kind.CHANGED:
                    self._conflict(row, "这条记录您只能查看，不能修改。")

    def _seen(self, ids):
        """Those of ``ids`` that the importer may at least look at."""
        rows = self.resource.policy.visible_to(self.user, "view")
        return rows.filter(bulk.among("pk", ids)).values_list("pk", flat=True) if ids else ()

    def _stored_many(self, ids) -> dict[int, dict]:
        names = self.resource.many & set(self.columns.values()) if ids else ()
        found: dict[int, dict] = {}
        for name in names:
            field = self.resource.model._meta.get_field(name)
            near, far = field.m2m_column_name(), field.m2m_reverse_name()
            rows = field.remote_field.through.objects.filter(bulk.among(near, ids))
            for owner, pk in rows.annotate(a=F(near), b=F(far)).values_list("a", "b"):
                found.setdefault(owner, {}).setdefault(name, []).append(pk)
        return found

    def _as_new(self, row, may_add):
        if not may_add:
            return self._conflict(row, "没有新增权限，只能更新已有记录。")
        row["values"] |= self._derived(row, None)
        self._apply_rules(row, None, row["values"])

    def _apply_rules(self, row, stored, touched):
        """Rules over several columns, and nothing that was switched off is chosen anew."""
        found = self.resource.check_row(row["values"], stored, self.context)
        for name, retired in self.retired.items():
            chosen = row["values"].get(name) if name in touched else None
            for pk in chosen if isinstance(chosen, list) else [chosen]:
                if pk in retired:
                    found.append((name, f"“{self.fields[name].widget.shown(pk, self.context)}”已停用，请换一个。"))
        for name, text in found:
            row["problems"].append(self._problem(self._index(name), name, text))

    @cached_property
    def retired(self) -> dict[str, set[int]]:
        """``{column: ids of what was switched off}``, for the columns where there is any."""
        filled = {*self.columns.values(), *self.defaults}
        lookups = {name: field.widget for name, field in self.fields.items() if isinstance(field.widget, LookupWidget)}
        found = {name: set(lookups[name].retired(self.context).values()) for name in filled & lookups.keys()}
        return {name: ids for name, ids in found.items() if ids}

    def _as_changed(self, row, stored, many, parts):
        if self.existing == "skip":
            row["kind"], row["values"] = Kind.UNCHANGED, {}
            return
        if self.existing == "refuse":
            return self._conflict(row, "记录已存在，本次导入设为不更新已有记录。")
        guard = self.resource._meta.guard
        fixed = getattr(self.resource._meta, "fixed", ())
        values = row["values"] = {name: value for name, value in row["values"].items() if name not in fixed}
        by_guard = guard and self._key_name(row["key_pair"]) == guard
        renamed = guard and not by_guard and values.get(guard) and audit.json_value(stored[guard]) != values[guard]
        if renamed and not self.allow_rename:
            title = self.fields[guard].column_name
            return self._conflict(
                row, f"该代码已是“{stored[guard]}”，{title}不同；如确要改名，请在匹配页勾选“允许修改名称”。"
            )
        before = bulk.states(self.resource.model, [stored])[0]
        for name in self.resource.many & values.keys():
            before[name] = sorted(many.get(name, []))
        changes = self._difference(before, values)
        if changes and (derived := self._derived(row, stored)):
            values |= derived
            changes = self._difference(before, values)
        if self.companion and (given := self.companion.given(values)):
            changes |= self.companion.changes(given, self.companion.match(given, parts))
        if changes and (refusal := self.resource.refuse_changes(changes, stored, self.context)):
            return self._conflict(row, refusal)
        self._apply_rules(row, stored, changes)
        row |= {
            "kind": Kind.CHANGED if changes else Kind.UNCHANGED,
            "changes": changes,
            "values": values if changes else {},
            "target_id": stored["id"],
            "target_version": stored["lock_version"],
        }

    @staticmethod
    def _difference(before, values) -> dict:
        after = {name: audit.json_value(value) for name, value in values.items() if not name.startswith(PREFIX)}
        return audit.diff({name: before.get(name) for name in after}, after)

    def _index(self, name):
        return next((i for i, n in self.columns.items() if n == name), None)

    def _conflict(self, row, text):
        index = self._index(self._key_name(row["key_pair"])) if row["key_pair"] else None
        row["kind"] = Kind.CONFLICT
        row["problems"].append({"index": index, "name": None, "text": text})

    def _foreign(self, row, stored):
        """Only what a duplicate check may tell: the name is known already, the department says whom to ask."""
        from crm.models import User

        where = ""
        if isinstance(self.resource.policy, OwnedPolicy):
            owner = User.objects.select_related("department").filter(pk=stored["owner_id"]).first()
            where = f"（归属：{owner.department or '其他同事'}）" if owner else "（在公海）"
        return f"“{row['label']}”已存在{where}，您无权修改；如确为另一条记录，请填写不同的代码。"


class LineChecker(Checker):
    """Checks lines after the heads of their file: each belongs to one of those, or to a stored head."""

    def _place(self, staged):
        found = self._heads({key for row in staged if (key := self.resource.head_key(row["values"]))})
        for row in staged:
            row["of"] = None
            if (key := self.resource.head_key(row["values"])) is None:
                continue
            row["head"] = fingerprint(key)
            if key not in found:
                word, what = row["values"]["head"], self.resource.heads.model._meta.verbose_name
                where = f"“{self.batch.heads.sheet}”表和系统里都没有"
                text = f"“{word}”：{where}您能看到的这个{what}。"
                row["problems"].append(self._problem(self._index("head"), "head", text))
                continue
            row["of"] = head = found[key]
            self._number(row, head)

    def _heads(self, keys) -> dict[tuple, "Head"]:
        """The heads that lines may belong to: stored ones within sight, else those of the file."""
        heads, prints = self.resource.heads, {fingerprint(key): key for key in keys}
        stored = {ids[0]: key for key, ids in heads.find(keys).items() if len(ids) == 1 and ids[0] > 0}
        view = heads.policy.visible_to(self.user, "view").filter(bulk.among("pk", stored))
        seen = set(view.values_list("pk", flat=True))
        change = heads.policy.visible_to(self.user, "change").filter(bulk.among("pk", stored))
        may_change = set(change.values_list("pk", flat=True))
        rows = bulk.stored_rows(heads.model, seen)
        closed, placed = heads.closed(rows.values()), self.resource.placed(seen)
        lines = ImportRow.objects.filter(bulk.among("head", prints), batch=self.batch)
        tops = dict(lines.order_by().values_list("head").annotate(top=Max("position")))
        new = ImportRow.objects.filter(bulk.among("key", prints), batch=self.batch.heads_id)
        usual = {name: heads.empty_value(name) for name in heads._meta.fields}
        found = {prints[key]: Head(values=usual | values) for key, values in new.values_list("key", "values")}
        for pk in seen:
            refusal = closed.get(pk) or ("" if pk in may_change else "这条记录您只能查看，不能修改。")
            found[stored[pk]] = Head(pk, rows[pk], len(placed.get(pk, ())), refusal)
        for key, head in found.items():
            head.top = max(head.stored_lines, tops.get(fingerprint(key)) or 0)
        return found

    def _number(self, row, head):
        """New lines follow the last one without a gap, so that the same file finds them again."""
        values = row["values"]
        if "position" not in values and not any(problem["name"] == "position" for problem in row["problems"]):
            if head.pk is not None:
                there = head.stored_lines
                text = f"不能为空：已有 {there} 行，改哪一行写它的行号，新增的从 {there + 1} 写起。"
                row["problems"].append(self._problem(self._index("position"), "position", text))
                return
            values["position"] = head.top + 1
        position = values.get("position", 0)
        if position > head.top + 1:
            text = f"“{position}”跳号了，下一行是 {head.top + 1}。"
            row["problems"].append(self._problem(self._index("position"), "position", text))
            return
        row["position"] = position or None
        head.top = max(head.top, position)
        row["label"] = self.resource.describe(values)

    def _as_new(self, row, may_add):
        head = row["of"]
        if head.pk is not None and self.existing == "skip":
            row["kind"], row["values"] = Kind.UNCHANGED, {}
        elif head.pk is not None and self.existing == "refuse":
            self._conflict(row, "记录已存在，本次导入设为不更新已有记录。")
        elif head.refusal:
            self._conflict(row, head.refusal)
        else:
            super()._as_new(row, may_add)

    def _derived(self, row, stored):
        return self.resource.derived(row["values"], stored, row["of"].values, self.context)

    def chunk(self, rows):
        staged = super().chunk(rows)
        for row in staged:
            del row["of"]
        return staged


@dataclass
class Head:
    """What the lines of a head have to know of it; ``top`` is the highest 行号 so far, stored or in the file."""

    pk: int | None = None
    values: dict = field(default_factory=dict)
    stored_lines: int = 0
    refusal: str = ""
    top: int = 0


def run_check(run) -> dict:
    """Job handler: stage every row of the batch named in the job's parameters, heads before their lines."""
    batch = ImportBatch.objects.get(pk=run.job.params["batch"])
    step = run.checkpoint
    if not step:
        ImportRow.objects.filter(batch__in=batch.parts).delete()
    reached = step.get("part", batch.pk)
    for part in batch.parts:
        if part.pk >= reached:
            _check_part(run, part, step if part.pk == reached else {})
    with run.chunk(done=run.job.total, checkpoint={}, message="检查完成"):
        if len(batch.parts) > 1:
            hold_together(batch)
        for part in batch.parts:
            known = {"unknown": part.counts.get("unknown", {})}
            counts = count_kinds(part) | known
            ImportBatch.objects.filter(pk=part.pk).update(state=ImportBatch.State.CHECKED, counts=counts, message="")
    return {"batch": batch.pk}


def _check_part(run, part, step):
    """Stage the rows of one sheet from where ``step`` says on."""
    checker = (LineChecker if part.heads_id else Checker)(part, run.user)
    checker.unknown = {name: Counter(words) for name, words in step.get("unknown", {}).items()}
    before = ImportRow.objects.filter(batch=part.heads_id).count() if part.heads_id else 0
    with opened(part) as table:
        checker.merged = table.merged
        rows = _following(run, table.rows, max(step.get("number", 0), part.header_row))
        while block := list(islice(rows, CHUNK)):
            staged, number = checker.chunk(block), block[-1].number
            with run.chunk(
                done=before + number,
                checkpoint={"part": part.pk, "number": number, "unknown": checker.unknown},
                message=f"已检查 {before + number} 行",
            ):
                stage(part, staged)
    part.counts["unknown"] = {name: words.most_common() for name, words in checker.unknown.items()}
    with run.chunk(done=run.done):
        ImportBatch.objects.filter(pk=part.pk).update(counts=part.counts)


def hold_together(batch) -> None:
    """A head and its lines are imported together or not at all: what is wrong with one of them stops all of them."""
    heads, lines = batch.rows.all(), batch.lines.rows.all()
    what = resource_for(batch.resource).model._meta.verbose_name
    faulty, sound = Q(kind__in=(Kind.CONFLICT, Kind.ERROR)), Q(kind__in=(Kind.NEW, Kind.CHANGED))
    bad_heads = list(heads.filter(faulty).exclude(key="").order_by().values_list("key", flat=True))
    bad_lines = list(lines.filter(faulty).exclude(head="").order_by().values_list("head", flat=True).distinct())
    for rows, column, keys, text in (
        (lines, "head", bad_heads, f"所属的{what}在“{batch.sheet}”表里有问题，改好后一起导入。"),
        (lines, "head", bad_lines, f"同一{what}的其他明细有问题，改好后一起导入。"),
        (heads, "key", bad_lines, f"它在“{batch.lines.sheet}”表里有一行明细有问题，改好后一起导入。"),
    ):
        problems = [{"index": None, "name": None, "text": text}]
        for start in range(0, len(keys), CHUNK):
            block = rows.filter(sound, **{f"{column}__in": keys[start : start + CHUNK]})
            block.update(kind=Kind.CONFLICT, problems=problems)


def _following(run, rows, last):
    """The rows after row ``last``. A worker that goes on far down a long file shows signs of life on its way there."""
    for row in rows:
        if row.number > last:
            yield row
        elif row.number % 500 == 0:
            run.beat()


@contextmanager
def opened(batch):
    """The file of ``batch``; what the reader refuses ends the job with the reader's words."""
    try:
        with files.open_table(batch) as table:
            yield table
    except WorkbookError as error:
        raise JobError(str(error)) from error


def count_kinds(batch) -> dict[str, int]:
    """``{"new": 12, "error": 3, …}`` of the staged rows."""
    rows = ImportRow.objects.filter(batch=batch).order_by().values_list("kind").annotate(n=Count("pk"))
    return {Kind(kind).name.lower(): count for kind, count in rows}


def stage(batch, staged) -> None:
    fields = [field for field in ImportRow._meta.concrete_fields if not field.primary_key]
    bulk.write_rows(ImportRow, fields, [{"batch_id": batch.pk, "outcome": 0, **row} for row in staged])
