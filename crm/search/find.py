"""Finding records by what people type, always inside the rows they were given.

Tried in this order, each step by an index: a whole code or telephone number; the rarest pieces of the words in the
full-text table, each hit verified against the text; and for words so common that a page of them is never far away,
reading the rows in the order of the list. How common a word is, a sample of the entries tells.
"""

import random
from functools import reduce

from django.core.cache import cache
from django.db import connection, models
from django.db.models.expressions import RawSQL

from crm import bulk
from crm.models import SearchEntry
from crm.search.index import TOKENS
from crm.search.registry import Declaration, declaration_of, existing
from crm.search.tokens import required, words
from crm.text import is_phone, phone_key

EXACT_LENGTH = 6  # what is shorter may well be a piece of something else
FEW = 3000  # so many hits are fetched at once; of more, the database makes a subquery, for the page and for the count
COMMON = 0.02  # share of the records from which on reading the list is the quicker way
COMMON_COUNT = 200  # no list counts the hits of a common word any further
PIECES = 2  # a third costs the server more than the texts that it would leave unread
SIMILAR = 10  # a hit costs as much as so many places of a piece that is asked for besides
SMALL = 2000  # tables up to this size are simply read
SAMPLE_SIZE = 1000
SAMPLE_SECONDS = 300


def search(rows: models.QuerySet, term: str) -> models.QuerySet:
    """``rows`` reduced to those that contain every word of ``term`` in what their model is found by.

    Never more than ``rows``, whose order stays. A complete code or telephone number gives its records alone. Of too
    common a word, the result carries ``count_limit``: how far a list should count. Raises KeyError for a model that no
    app registered.
    """
    declared = declaration_of(rows.model)
    wanted = words(term)
    if not wanted:
        return rows.none()
    if known := _exact(rows, declared, term):
        return rows.filter(pk__in=known)
    sample = Sample.of(declared)
    if sample.total <= SMALL:
        return _reading(rows, declared, wanted)
    share = sample.share(wanted)
    if share > COMMON:
        rows = _reading(rows, declared, wanted)
        rows.count_limit = COMMON_COUNT
        return rows
    sql, parameters = _matching(declared, wanted, sample)
    if share * sample.total <= 2 * FEW:
        found = _fetch(sql, parameters)
        if found is not None:
            return rows.filter(bulk.among("pk", found))
    return rows.filter(pk__in=RawSQL(f"SELECT id FROM ({sql}) AS found", parameters))  # noqa: S608, S611


def matches(rows: models.QuerySet, term: str, limit: int = 20) -> list[int]:
    """Ids of ``rows`` that contain ``term``, the best first.

    That is: those with this very code or number, those whose name begins so, and the newest of the others.
    """
    declared = declaration_of(rows.model)
    found = _exact(rows, declared, term)
    if declared.prefix and len(found) < limit and (start := _normal(declared, declared.prefix, term)):
        begins = existing(rows).filter(
            **{f"{declared.prefix}__gte": start, f"{declared.prefix}__lt": start + chr(0x10FFFF)}
        )
        found += begins.order_by(declared.prefix).values_list("pk", flat=True)[:limit]
    if len(found) < limit:
        found += search(rows, term).order_by("-pk").values_list("pk", flat=True)[:limit]
    return list(dict.fromkeys(found))[:limit]


def _normal(declared: Declaration, name, term) -> str:
    field = declared.model._meta.get_field(name)
    return field.normalize(term)[: field.max_length]


def _exact(rows, declared: Declaration, term) -> list[int]:
    """Ids of those of ``rows`` whose code or telephone number, or a part's, is the whole term."""
    lookups = []
    for name in declared.keys:
        if len(key := _normal(declared, name, term)) >= EXACT_LENGTH:
            lookups.append((declared.model, "id", name, key))
    if is_phone(term):
        key = phone_key(term)
        lookups += [(declared.model, "id", f"{name}_key", key) for name in declared.phones]
        lookups += [
            (part.model, f"{part.link}_id", f"{name}_key", key) for part in declared.parts for name in part.phones
        ]
    if not lookups:
        return []
    sql = " UNION ALL ".join(
        f"SELECT {wanted} FROM {model._meta.db_table} WHERE {column} = %s"  # noqa: S608
        + " AND is_valid = 1" * hasattr(model, "is_valid")
        for model, wanted, column, _ in lookups
    )
    known = _fetch(sql, [key for *_, key in lookups])
    return list(rows.filter(pk__in=known).order_by("-pk").values_list("pk", flat=True)) if known else []


def _fetch(sql, parameters) -> list[int] | None:
    """The ids that the query gives, None if they are many."""
    with connection.cursor() as cursor:
        cursor.execute(f"{sql} LIMIT {FEW + 1}", parameters)
        found = [pk for (pk,) in cursor.fetchall()]
    return found if len(found) <= FEW else None


def _reading(rows, declared: Declaration, wanted):
    """``rows`` whose text holds the words, by reading it row by row.

    A scalar subquery, which the database cannot turn round: it stops reading as soon as the page is full.
    """
    entry = SearchEntry.objects.filter(pk=models.OuterRef("pk") + declared.base)
    entry = reduce(lambda entries, word: entries.filter(text__contains=word), wanted, entry)
    return rows.alias(_entry=models.Subquery(entry.values("pk")[:1])).filter(_entry__isnull=False)


def _matching(declared: Declaration, wanted, sample) -> tuple[str, list]:
    """SQL for the ids of the records that contain the words: by their rarest pieces, or unsettled and read."""
    pieces = {piece: token for word in wanted for piece, token in required(word).items()}
    ranked = sorted((sample.floor([piece]), piece) for piece in pieces)
    chosen = [pieces[piece] for share, piece in ranked if share <= SIMILAR * ranked[0][0]][:PIECES]
    entries, first = SearchEntry._meta.db_table, declared.base
    contains = " AND ".join(["INSTR(e.text, %s) > 0"] * len(wanted))
    # the sum keeps the database from walking this range instead of the few rows that the other condition leaves; of the
    # tokens, it leaves out the hits of other models before their entries are looked up
    which = f"+ 0 BETWEEN {declared.range[0]} AND {declared.range[1]}"
    return (
        f"SELECT e.id - {first} AS id FROM {TOKENS} JOIN {entries} e ON e.id = {TOKENS}.rowid "  # noqa: S608
        f"WHERE {MATCH[connection.vendor]} AND {TOKENS}.rowid {which} AND e.is_settled = 1 AND {contains} "
        f"UNION ALL SELECT e.id - {first} FROM {entries} e WHERE e.is_settled = 0 AND e.id {which} AND {contains}",
        [EXPRESSION[connection.vendor](chosen), *wanted, *wanted],
    )


MATCH = {"mysql": "MATCH (tokens) AGAINST (%s IN BOOLEAN MODE)", "sqlite": f"{TOKENS} MATCH %s"}
EXPRESSION = {
    "mysql": lambda chosen: " ".join(f"+{token}{'*' * begins}" for token, begins in chosen),
    "sqlite": lambda chosen: " AND ".join(f'"{token}"{"*" * begins}' for token, begins in chosen),
}


class Sample:
    """Texts of entries picked at random: how common a word is. The last one is good for some minutes."""

    def __init__(self, texts, total):
        self.texts, self.total = texts, total

    def share(self, wanted) -> float:
        """The share of the records that contain all of these words."""
        hits = self.texts
        for word in wanted:
            hits = [text for text in hits if word in text]
        return len(hits) / max(1, len(self.texts))

    def floor(self, wanted) -> float:
        """The same, where a word that no text of the sample contains counts as half a hit."""
        return max(self.share(wanted), 0.5 / max(1, len(self.texts)))

    @classmethod
    def of(cls, declared: Declaration) -> "Sample":
        key = f"crm.search.sample:{declared.model._meta.label_lower}"
        sample = cache.get(key)
        if sample is None:
            sample = cls._draw(declared)
            cache.set(key, sample, SAMPLE_SECONDS)
        return sample

    @classmethod
    def _draw(cls, declared):
        entries = SearchEntry.objects.filter(pk__range=declared.range)
        ends = entries.aggregate(first=models.Min("pk"), last=models.Max("pk"))
        if ends["first"] is None:
            return cls([], 0)
        keys = range(ends["first"], ends["last"] + 1)
        drawn = keys if len(keys) <= SAMPLE_SIZE else random.sample(keys, SAMPLE_SIZE)
        texts = list(entries.filter(pk__in=drawn).values_list("text", flat=True))
        return cls(texts, len(texts) * len(keys) // len(drawn))
