"""What the rows of a chunk refer to: people, dictionary items, records that other tables have become."""

from collections import Counter
from functools import cached_property

from django.contrib.auth.hashers import make_password
from django.contrib.contenttypes.models import ContentType

from crm import text
from crm.fields import KeyField
from crm.legacy import fieldmap
from crm.legacy.attached import OldFiles
from crm.legacy.tables import names_of
from crm.models import DictionaryItem, LegacyRecord, User

PLANNED = -1  # the id of a record that a dry run would have made


class Context:
    """One load of one system.

    ``write`` is False in a dry run, which remembers in the staging file what it would have made.
    """

    def __init__(self, load, staging, *, write):
        self.load, self.staging, self.write = load, staging, write
        self.system = load.system
        self.made: dict[str, int] = {}
        self.found: dict = {}
        self.foreseen: dict[str, dict] = {}
        self.sources: dict[str, str] = {}  # names of the tables in the source
        self._planned = PLANNED

    @cached_property
    def files(self) -> OldFiles | None:
        """The files of the old system, where somebody named their folder."""
        folder = self.load.options.get("files")
        return OldFiles(folder) if folder else None

    def forget(self) -> None:
        """What was made for rows that were rolled back is not there: look for everything again."""
        self.found.clear()
        for name in ("_people", "_items"):
            self.__dict__.pop(name, None)

    def plan(self) -> int:
        """The id, below all real ones, of one more record that a dry run would have made."""
        self._planned -= 1
        return self._planned

    # --- People ------------------------------------------------------------------------------------------------------

    @cached_property
    def _people(self) -> dict[str, int]:
        found: dict = {}
        for pk, username, full_name in User.objects.order_by("-is_active", "pk").values_list(
            "pk", "username", "full_name"
        ):
            for word in (username, full_name):
                found.setdefault(text.fold(word), pk)
        return found

    def person(self, raw) -> int:
        """The account of ``raw``, a user or full name; somebody unknown becomes a disabled account."""
        word = text.fold(raw)
        if word not in self._people:
            self._people[word] = self._hire(raw) if self.write else PLANNED
            self.made["停用账号"] = self.made.get("停用账号", 0) + 1
        return self._people[word]

    def known_person(self, raw) -> int | None:
        return self._people.get(text.fold(raw))

    def _hire(self, raw):
        name = text.clean_text(raw)
        user = User(username=name[:150], full_name=name[:50], is_active=False, password=make_password(None))
        user.remark = f"从 {self.system} 迁入，旧系统里的名字是“{name}”"
        user.save()
        return user.pk

    def met(self, person_id, *words):
        """``words`` now mean that person."""
        for word in filter(None, map(text.fold, words)):
            self._people[word] = person_id

    # --- Dictionaries ------------------------------------------------------------------------------------------------

    @cached_property
    def _items(self) -> dict[tuple[str, str], int]:
        found: dict = {}
        for item in DictionaryItem.objects.order_by("-is_valid", "pk"):  # one that is deleted keeps its word
            for word in item.names():
                found.setdefault((item.type, word), item.pk)
        return found

    def named_item(self, item_id, kind, label):
        """``label`` now means that dictionary item, unless it meant one before."""
        self._items.setdefault((kind, text.fold(label)), item_id)

    def known_item(self, kind, raw) -> int | None:
        return self._items.get((kind, text.fold(raw)))

    def item(self, kind, raw) -> int:
        """The dictionary item that ``raw`` means; a word nobody knew becomes one."""
        word = text.fold(raw)
        if (kind, word) not in self._items:
            self._items[kind, word] = self._name(kind, text.clean_text(raw)) if self.write else PLANNED
            self.made["字典项"] = self.made.get("字典项", 0) + 1
        return self._items[kind, word]

    def _name(self, kind, label):
        item = DictionaryItem(type=kind, code=label[:50], label=label[:100], sort=900, remark=f"从 {self.system} 迁入")
        item.save()
        return item.pk

    # --- Small lists -------------------------------------------------------------------------------------------------

    def called(self, model, name, **values) -> int:
        """The record of ``model`` called ``name``, made with ``values`` where there is none yet."""
        key = model, text.fold(name)
        if key not in self.found:
            pairs = model._base_manager.order_by("is_valid", "-pk").values_list("pk", "name")
            self.found |= {(model, text.fold(each)): pk for pk, each in pairs}
        if key not in self.found:
            self.found[key] = PLANNED
            if self.write:
                record = model(name=name, remark=f"从 {self.system} 迁入", **values)
                record.save()
                self.found[key] = record.pk
            label = str(model._meta.verbose_name)
            self.made[label] = self.made.get(label, 0) + 1
        return self.found[key]

    # --- Old rows ----------------------------------------------------------------------------------------------------

    def old_rows(self, table, column, words):
        """``(number, {column of the field map: text})`` of the rows of ``table`` whose ``column`` is one of
        ``words``."""
        source = self.sources.get(table.name)
        spelt = self.staging.columns(source) or () if source else ()
        theirs = dict(zip(names_of(table, spelt), spelt, strict=True)).get(fieldmap.plain(column))
        if theirs is not None:
            for number, row in self.staging.rows_with(source, theirs, words):
                yield number, dict(zip(names_of(table, row), row.values(), strict=True))

    # --- Records of other tables -------------------------------------------------------------------------------------

    def targets(self, table, keys) -> dict[str, int]:
        """``{old key: id}`` of the records that rows of ``table`` have become (a dry run: would become)."""
        keys = {key for key in keys if key}
        rows = LegacyRecord.objects.filter(
            system=self.system, table=table.name, key__in=keys, content_type=self.type_of(table.model)
        ).exclude(object_id=None)
        found = dict(rows.values_list("key", "object_id"))
        if not self.write:
            found |= self.staging.seen(f"{table.name}.key", keys - set(found))
        return found

    def named(self, table, name, words, *, alone=False) -> dict[str, int]:
        """``{word: id}`` of the valid records of ``table`` whose field ``name`` says ``word``, the oldest if several
        do (a dry run: would say), none of them if only those are asked for that are ``alone``."""
        field = _key_field(table.model, name)
        keys = {word: field.normalize(word)[: field.max_length] for word in words if word}
        rows = table.model._base_manager.filter(**{f"{field.name}__in": set(keys.values()) - {""}}, is_valid=True)
        pairs = list(rows.order_by("-pk").values_list(field.name, "pk"))
        found, several = dict(pairs), {key for key, count in Counter(key for key, _ in pairs).items() if count > 1}
        if not self.write:
            kind = f"{table.name}.{name}"
            planned = self.staging.seen(kind, set(keys.values()))
            several |= planned.keys() & found.keys() | self.staging.seen(f"{kind} again", planned).keys()
            found = planned | found
        if alone:
            found = {key: pk for key, pk in found.items() if key not in several}
        return {word: found[key] for word, key in keys.items() if key in found}

    def remember(self, table, name, pairs):
        """A dry run will know the records that it would have made, ``[(value of the field name, id)]``."""
        field, kind, found, again = _key_field(table.model, name), f"{table.name}.{name}", {}, {}
        for value, pk in pairs:
            key = field.normalize(value)[: field.max_length]
            (again if key in found else found).setdefault(key, pk)
        self.staging.saw(f"{kind} again", again | self.staging.seen(kind, found))
        self.staging.saw(kind, found)

    def recognised(self, model, key, words) -> dict[str, int]:
        """``{word: id}`` of the records of ``model`` by the stored key ``key``, planned ones included."""
        words = set(words) - {""}
        found = dict(model._base_manager.filter(is_valid=True, **{f"{key}__in": words}).values_list(key, "pk"))
        if not self.write:
            seen = {repr((key, word)): word for word in words - set(found)}
            found |= {seen[each]: pk for each, pk in self.staging.seen(f"{model._meta.label}.word", seen).items()}
        return found

    @staticmethod
    def type_of(model):
        return ContentType.objects.get_for_model(model)


def _key_field(model, name) -> KeyField:
    return next(field for field in model._meta.concrete_fields if isinstance(field, KeyField) and field.source == name)
