"""What somebody sees who sees only part of the records, and what has left his sight since his figures were counted.

Rows come into somebody's sight and leave it in two ways. What he may see changes: his roles, the people of his
departments, what is shared with him, the pools he administers. All of this stands in the query that gives his rows, so
that its digest (``Sight.digest``) is another one at once. Or a record changes: it is handed on, released, merged, moved
to another customer, removed. That is in the business log, and ``Sight.departures`` counts such entries.

Which changes matter is read off the same query, so that a policy that asks for another column needs nothing here: the
columns that it compares, the foreign keys that it follows, the records that must not be removed.
"""

import hashlib
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from django.core.exceptions import EmptyResultSet
from django.db.models import BigIntegerField, Count, ForeignKey, Lookup, Max, Q, QuerySet, Sum
from django.db.models.expressions import Col
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Coalesce
from django.db.models.sql import Query
from django.db.models.sql.datastructures import BaseTable
from django.db.models.sql.where import WhereNode

from crm import audit
from crm.models import BusinessLog, DataScope, Operation, User
from crm.policies import ChildPolicy, EitherPolicy, OwnedPolicy, policy_for, registered
from customers.models import Customer

LATE = timedelta(minutes=10)  # an entry may be written so long before its transaction ends and others see it


class Unclear(Exception):
    """Rows are picked in a way of which nobody can tell here what takes a record out."""


@dataclass
class _Reading:
    """What the queries of a reader's rows depend on; columns are ``(model, field)``."""

    words: list[str] = field(default_factory=list)
    among: dict[tuple, set[frozenset]] = field(default_factory=lambda: defaultdict(set))  # ids that a column is one of
    followed: set[tuple] = field(default_factory=set)  # foreign keys to further records that are asked
    compared: set[tuple] = field(default_factory=set)  # columns that are compared in any other way
    standing: set[type] = field(default_factory=set)  # records that must not be removed
    read_besides: set[type] = field(default_factory=set)  # those of them that others than their own readers read

    def add(self, other):
        self.words += other.words
        for column, lists in other.among.items():
            self.among[column] |= lists
        for name in ("followed", "compared", "standing", "read_besides"):
            getattr(self, name).update(getattr(other, name))


@dataclass
class Sight:
    """What ``user`` sees of the records that a report counts: the same ``digest``, the same rows but for what the log
    tells."""

    user: User
    reading: _Reading
    within: dict[type, QuerySet] = field(default_factory=dict)  # ids of the owned records in reach, removed or not

    @cached_property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(self.reading.words).encode()).hexdigest()

    def departures(self, counted_at) -> int:
        """How many entries of the log about what leaves the sight can be seen, from a little before ``counted_at``.

        While it is the number that was found before the figures were counted, nothing that they hold has left since,
        not even by a transaction that was under way then.
        """
        reading, leaving = self.reading, Q(pk__in=[])
        columns = {column.name for _, column in [*reading.among, *reading.followed]}
        entries = BusinessLog.objects.filter(created_at__gte=counted_at - LATE).exclude(operation=Operation.CREATE)
        if not self._may_matter(entries).exists():  # most of the time, and asked in a tenth of the time
            return 0
        entries = entries.alias(
            **{
                f"{name}_{when}": Coalesce(Cast(KT(f"changes__{name}__{place}"), BigIntegerField()), 0)
                for name in columns
                for place, when in enumerate(("before", "after"))
            }
        )
        for (model, column), lists in reading.among.items():
            for ids in lists:
                was, stays = Q(**{f"{column.name}_before__in": ids}), Q(**{f"{column.name}_after__in": ids})
                leaving |= _about(model, column) & was & ~stays
        for model, column in reading.followed:
            leaving |= _about(model, column) & self._in_sight(column.related_model, f"{column.name}_before")
        for model, column in reading.compared:
            leaving |= _about(model, column)
        for model in reading.standing:
            leaving |= self._removed(model)
        merged = Q(content_type_id=audit.content_type_id(Customer), operation=Operation.MERGE)
        leaving |= merged & self._in_sight(Customer, "object_id")  # what goes back to another one is not always logged
        return entries.filter(leaving).order_by().count()

    def _may_matter(self, entries) -> QuerySet:
        """Those of ``entries`` about the columns and records in question, whosever they are."""
        reading = self.reading
        changed = [*reading.among, *reading.followed, *reading.compared]
        models = {Customer, *reading.standing, *(model for model, _ in changed)}
        names = sorted({"is_valid", *(column.name for _, column in changed)})
        told = Q(operation__in=[Operation.DELETE, Operation.MERGE]) | Q(changes__has_any_keys=names)
        return entries.filter(told, content_type_id__in=[audit.content_type_id(model) for model in models]).order_by()

    def _removed(self, model) -> Q:
        """Entries of removed ``model``; those deleted for good (imports taken back) are nobody's any more."""
        about = Q(content_type_id=audit.content_type_id(model))
        deleted = about & Q(operation=Operation.DELETE) & ~Q(changes__has_key="is_valid")
        removed = about & Q(changes__has_key="is_valid")
        if model not in self.reading.read_besides:
            policy = policy_for(model)
            roots = policy.roots.values() if isinstance(policy, ChildPolicy) else [policy]
            whose = Q(root_type=None)
            for root in {root.model for root in roots}:
                whose |= Q(root_type=audit.content_type_id(root)) & self._in_sight(root, "root_id")
            removed &= whose
        return deleted | removed

    def _in_sight(self, model, name) -> Q:
        """That ``name`` is the id of a record within reach, removed or not; of parts of records, of any."""
        policy = registered().get(model)
        if not isinstance(policy, OwnedPolicy):
            return Q(**{f"{name}__gt": 0})
        if model not in self.within:
            self.within[model] = policy.restrict(model._base_manager.order_by(), self.user, "view").values("pk")
        return Q(**{f"{name}__in": self.within[model]})


def _about(model, column) -> Q:
    """Entries that change ``column``; the cheaper question is asked first."""
    return Q(content_type_id=audit.content_type_id(model)) & Q(changes__has_key=column.name)


def sight_of(report, user, *, anew=False) -> Sight | None:
    """What ``user`` sees of the customers and of what ``report`` counts; remembered on the user object, which lives for
    one request, unless it is asked ``anew``.

    None where it cannot be told what leaves it, and for people who see their own records only: these are few, and
    every new one would be another digest.
    """
    models = {source.model for source in report.sources.values()} | {Customer}
    if all(policy_for(model).scope(user, "view") in (None, DataScope.SELF) for model in models):
        return None
    known = {} if anew else getattr(user, "_sights", {})
    found = _Reading()
    try:
        for model in sorted(models, key=lambda model: model._meta.label):
            if model not in known:
                known[model] = _read(policy_for(model), user)
            found.add(known[model])
    except Unclear:
        return None
    user._sights = known
    return Sight(user, found)


def _read(policy, user) -> _Reading:
    reading, query = _Reading(), policy.visible_to(user, "view").order_by().query
    try:
        words = query.sql_with_params()
    except EmptyResultSet:
        words = "nothing"
    reading.words.append(f"{policy.model._meta.label}: {words}")
    if words == "nothing":
        return reading
    for lookup, is_negated in _conditions(query.where):
        _compare(reading, lookup, is_negated)
    for alias, join in query.alias_map.items():
        if isinstance(join, BaseTable) or not query.alias_refcount[alias]:
            continue
        if not isinstance(join.join_field, ForeignKey):
            raise Unclear
        reading.followed.add((join.join_field.model, join.join_field))
    if isinstance(policy, EitherPolicy) and policy.also_read:
        reading.read_besides |= reading.standing
    return reading


def _conditions(node, is_negated=False):
    """``(lookup, whether it must not hold)`` of everything that a query asks."""
    for child in node.children:
        if isinstance(child, WhereNode):
            yield from _conditions(child, is_negated ^ child.negated)
        elif isinstance(child, Lookup) and isinstance(child.lhs, Col):
            yield child, is_negated
        else:
            raise Unclear


def _compare(reading, lookup, is_negated):
    column, value = lookup.lhs.target, lookup.rhs
    key = (column.model, column)
    if isinstance(value, Query):
        reading.words.append(_grants(value))
        if not column.primary_key:
            reading.followed.add(key)
    elif column.primary_key:
        return
    elif column.name == "is_valid":
        reading.standing.add(column.model)
    elif lookup.lookup_name == "in" and isinstance(column, ForeignKey) and not is_negated:
        reading.among[key].add(frozenset(value))
    else:
        reading.compared.add(key)


def _grants(query) -> str:
    """What tells the grants that ``query`` gives from any others: ids are never given out twice."""
    if query.model not in {policy.grants for policy in registered().values() if isinstance(policy, OwnedPolicy)}:
        raise Unclear
    found = QuerySet(query.model, query=query.clone()).aggregate(Count("pk"), Max("pk"), Sum("pk"))
    return " ".join(map(str, found.values()))
