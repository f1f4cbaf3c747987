"""Search over names, codes and telephone numbers, in the middle of a word too, for lists, palette and duplicate check.

An app declares what its records are found by in a module ``search``::

    search.register(
        Customer,
        fields=["name", "short_name", "code"],
        phones=["phone"],
        keys=["code_key"],
        prefix="name_key",
        parts=[search.Part(Contact, "customer", fields=["name"], phones=["mobile", "telephone"])],
    )

``Stamped.save`` and ``crm.bulk`` keep the entries up; ``manage.py rebuild_search`` writes them anew.
"""

from crm.search import background  # noqa: F401
from crm.search.find import matches, search
from crm.search.index import follow, forget, rebuild, refresh, settle, tidy
from crm.search.registry import Part, declarations, register

__all__ = [
    "Part",
    "declarations",
    "follow",
    "forget",
    "matches",
    "rebuild",
    "refresh",
    "register",
    "search",
    "settle",
    "tidy",
]
