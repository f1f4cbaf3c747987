"""What became of the old rows, table by table: every row of the source is in one of the columns."""

from crm.legacy import fieldmap
from crm.legacy.load import WORDS, present, sums
from crm.legacy.tables import systems


def of(context) -> dict:
    """``{"tables": [{…counts…, "reasons": […]}], "sums": […], "made": {…}, "unknown": […], "notes": […]}``.

    ``rows`` of a table equals the sum of its outcomes; what does not is ``missing``.
    """
    counts = context.staging.outcome_counts()
    known, tables = set(), []
    for table, name in present(context):
        known.add(name)
        outcomes = counts.get(name, {})
        rows = context.staging.count(name)
        tables.append(
            {
                "table": name,
                "label": str(table.model._meta.verbose_name),
                "rows": rows,
                **{outcome: outcomes.get(outcome, 0) for outcome in WORDS},
                "missing": rows - sum(outcomes.values()),
                "reasons": [
                    {"outcome": WORDS[outcome], "reason": reason, "rows": count}
                    for outcome, reason, count in context.staging.reasons(name)
                ],
            }
        )
    unknown = [
        {"table": name, "rows": context.staging.count(name)} for name in context.staging.tables() if name not in known
    ]
    return {
        "tables": tables,
        "sums": sums(context),
        "made": context.made,
        "unknown": unknown,
        "notes": context.staging.notes(),
    }


def lines(report) -> list[str]:
    """The report as text for a terminal."""
    found = []
    for table in report["tables"]:
        parts = "，".join(f"{WORDS[outcome]} {table[outcome]}" for outcome in WORDS if table[outcome])
        found.append(f"{table['table']}（{table['label']}）：{table['rows']} 行；{parts or '没有变化'}")
        if table["missing"]:
            found.append(f"  ✗ 有 {table['missing']} 行没有结果")
        found += [f"  {r['outcome']} {r['rows']} 行：{r['reason'][:200]}" for r in table["reasons"][:20]]
    for each in report["sums"]:
        now = f"，现在 {each['now']}" if each["now"] is not None else ""
        more = f"（另有 {each['unreadable']} 个单元格不是数字）" if each["unreadable"] else ""
        found.append(f"{each['table']}.{each['column']} 合计：旧 {each['then']}{now}{more}")
    if report["made"]:
        found.append("另外新建：" + "，".join(f"{name} {count}" for name, count in report["made"].items()))
    for each in report["unknown"]:
        found.append(f"{each['table']}：{each['rows']} 行，不在字段对照表里，未迁入")
    return found + report["notes"]


def system_of(staging) -> str | None:
    """The system whose tables the staged source has most of; None: none of them."""
    names = {name.lower() for name in staging.tables()}

    def shared(system):
        from crm.legacy.tables import tables_of

        own = {each.lower() for table in tables_of(system) for each in (table.name, *table.aliases)}
        return len(names & (own | {name.lower() for name in fieldmap.tables(system)}))

    best = max(systems(), key=shared, default=None)
    return best if best and shared(best) else None
