"""What a chart of a table draws, as data for ``static/reports/charts.js``. The table itself always stands below it."""

from dataclasses import dataclass

from reports.queries.dimensions import REST

MOST = 24  # bars beyond which nobody reads them


@dataclass(frozen=True)
class Drawing:
    """``data`` goes to the script, ``caption`` above the chart, ``note`` below it."""

    data: dict
    caption: str
    note: str = ""


def drawings(report, table, filters) -> list[Drawing]:
    """The charts of ``report`` that have something to show."""
    dimension = report.dimension(filters.by)
    found = []
    for chart in report.charts:
        if chart.only and dimension.name not in chart.only:
            continue
        bars = [column for column in table.columns if column.name in chart.bars]
        lines = [column for column in table.columns if column.name in chart.lines]
        if dimension.is_ranking:
            bars = [column for column in bars if column.name == filters.basis] or bars
        rows = [row for row in table.rows if not row.code.startswith(REST)]
        if not bars or not any(row[column.name] for row in rows for column in bars):
            continue
        note = "" if dimension.in_time or len(rows) <= MOST else f"图上是前 {MOST} 行，其余见表。"
        shown = rows if dimension.in_time else rows[:MOST]
        upright = dimension.in_time or dimension.is_ranking or bool(lines) or len(shown) <= 6
        data = {
            "labels": [row.label for row in shown],
            "upright": upright,
            "stacked": chart.is_stacked,
            "axis": table.title,
            "joined": dimension.in_time or dimension.is_ranking,
            "sets": [_set(column, shown, False) for column in bars] + [_set(column, shown, True) for column in lines],
        }
        caption = "、".join(column.label for column in bars + lines)
        found.append(Drawing(data, f"{caption}（按{table.title}）", note))
    return found


def _set(column, rows, is_line):
    values = [None if row[column.name] is None else float(row[column.name]) for row in rows]
    return {"label": column.label, "unit": column.unit, "values": values, "line": is_line}
