"""What became of the old rows, table by table: every row of the source is in one of the columns."""

from crm.legacy import fieldmap
from crm.legacy.load import WORDS, namesakes, present, sums
from crm.legacy.sources import SourceError
from crm.legacy.tables import fits, known_columns, systems, tables_of


def of(context) -> dict:
    """``{"tables": [{…counts…, "reasons": […]}], "sums": […], "made": {…}, "unknown": […], "absent": […], …}``.

    ``rows`` of a table equals the sum of its outcomes; what does not is ``missing``.
    """
    counts = context.staging.outcome_counts()
    known, here, tables = set(), set(), []
    for table, name in present(context):
        known.add(name)
        here.add(table.name)
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
    strange = {name: table for table, name in namesakes(context.system, context.staging) if table.name not in here}
    unknown = [
        {
            "table": name,
            "rows": context.staging.count(name),
            "why": _why_strange(strange[name], context.staging.columns(name)) if name in strange else "",
        }
        for name in context.staging.tables()
        if name not in known
    ]
    here |= {table.name for table in strange.values()}
    return {
        "tables": tables,
        "sums": sums(context),
        "made": context.made,
        "unknown": unknown,
        "absent": [table.name for table in tables_of(context.system) if table.name not in here],
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
        found.append(f"{each['table']}：{each['rows']} 行，{each['why'] or '不在字段对照表里'}，未迁入")
    if report["absent"]:
        found.append(f"来源里没有的表：{'、'.join(report['absent'])}（旧库里有的话，请一起导出）")
    return found + report["notes"]


def system_of(staging, wanted="") -> str:
    """The system whose tables the staged source has, ``wanted`` if it is given. Raises SourceError, which names what
    was found and what was expected."""
    shares = {system: _shared(system, staging) for system in ([wanted] if wanted else systems())}
    best = max(shares, key=shares.get)
    if not shares[best]:
        raise SourceError(_why_none(staging, shares))
    return best


def _shared(system, staging) -> int:
    """How many columns of the source the loaders of ``system`` know; 0 if it is none of that system."""
    pairs = [(table, staging.columns(name)) for table, name in namesakes(system, staging)]
    return sum(len(known_columns(*pair)) for pair in pairs if fits(pair)) if fits(*pairs) else 0


def _why_none(staging, asked) -> str:
    """Which tables were found, what is strange in the one that is nearest, and which were expected."""
    labels, found = systems(), staging.tables()
    what = labels[next(iter(asked))] if len(asked) == 1 else "任何一个可以迁入的旧系统"
    told = [f"这份数据不是{what}的。找到的表：{_listed(found, 6)}。"]
    pairs = [(table, staging.columns(name)) for system in asked for table, name in namesakes(system, staging)]
    strange = [pair for pair in pairs if not fits(pair)]
    if strange:
        table, columns = max(strange, key=lambda pair: len(known_columns(*pair)))
        told.append(f"{table.name} {_why_strange(table, columns)}。")
    most = 8 if len(asked) == 1 else 2
    wanted = "；".join(f"{labels[system].partition('（')[0]}：{_listed(_widest(system), most)}" for system in asked)
    told.append(f"应当有的表：{wanted}。其他系统的数据请整理成 Excel，用各页面的“导入”。")
    return "".join(told)


def _why_strange(table, columns) -> str:
    """What speaks against a table of the source that has the name of ``table``."""
    known = known_columns(table, columns)
    return (
        f"与{systems()[table.system]}的表同名，但 {len(columns)} 列里只认得 {len(known)} 列，"
        f"不认得 {_listed([column for column in columns if column not in known], 4)}"
    )


def _widest(system) -> list[str]:
    """The tables of ``system`` by how much they say."""
    return [
        table.name for table in sorted(tables_of(system), key=lambda table: -len(fieldmap.columns(system, table.name)))
    ]


def _listed(names, most=8) -> str:
    return "、".join(names[:most]) + (f" 等 {len(names)} 个" if len(names) > most else "") if names else "（没有）"
