"""Templates to fill in and import: a data sheet that guides the typing, and a sheet that explains each column."""

from datetime import date

from xlsxwriter import Workbook
from xlsxwriter.utility import xl_col_to_name

from .columns import row_height
from .sheets import HEADER_FILL, SHEET_ROWS
from .writer import DATA_SHEET, EXACT_LIMIT, FIRST_DATE, staged

GUIDE_SHEET = "填写说明"
OPTIONS_SHEET = "选项"

_CHOICES_SHOWN = 30
_HINTS = {
    "text": "文本",
    "integer": "整数",
    "decimal": "数字",
    "percent": "百分数，如 13%",
    "date": "日期，如 2024-03-15",
    "datetime": "日期时间，如 2024-03-15 09:30",
    "choice": "从下拉列表中选一项",
    "multichoice": "可选多项，用逗号分隔",
    "boolean": "是 或 否",
}
_GUIDE = (("列名", 20), ("是否必填", 10), ("格式", 30), ("说明", 44), ("示例", 26), ("可选值", 44))
_NUMBERS = {"minimum": -EXACT_LIMIT, "maximum": EXACT_LIMIT}
_DATES = {"validate": "date", "minimum": FIRST_DATE, "maximum": date.max}
_LIMITS = {
    "integer": {"validate": "integer", **_NUMBERS},
    "decimal": {"validate": "decimal", **_NUMBERS},
    "percent": {"validate": "decimal", **_NUMBERS},
    "date": _DATES,
    "datetime": _DATES,
}
_REFUSAL = {"error_title": "填写有误"}


def write_template(path, columns, *, title, notes, beside=()):
    """Write a template for `columns` to `path`; it can be filled in and imported as it is.

    `beside`: further sheets to fill in, (name, columns) each, explained below the first.

    「数据」 holds nothing but the header in row 1 (required columns red, marked with *, explained in comments), columns
    formatted by kind so that long ids and leading zeros survive typing, drop-downs and checks with Chinese messages.
    「填写说明」 holds `title`, the `notes` (list of str) and a line for each column. Drop-downs read the hidden sheet
    「选项」, for a list inside the rule may have 255 characters only.

    `path` appears only when it is complete.
    """
    with staged(path) as draft, Workbook(draft) as book:
        book.set_properties({"title": title})
        parts = [(DATA_SHEET, columns), *beside]
        sheets = [book.add_worksheet(name) for name, _ in parts]
        guide, options = book.add_worksheet(GUIDE_SHEET), book.add_worksheet(OPTIONS_SHEET)
        sources = _write_options(options, [column for _, own in parts for column in own])
        for sheet, (_, own) in zip(sheets, parts, strict=True):
            _write_data(book, sheet, own, sources)
        _write_guide(book, guide, parts, title, notes)


def _write_options(sheet, columns):
    """Write each different list of options to a column of its own; return the formula that refers to it."""
    sheet.hide()
    sources = {}
    for options in filter(None, (column.options for column in columns)):
        if options not in sources:
            index = len(sources)
            for row, option in enumerate(options):
                sheet.write_string(row, index, option)
            name = xl_col_to_name(index, col_abs=True)
            sources[options] = f"='{OPTIONS_SHEET}'!{name}$1:{name}${len(options)}"
    return sources


def _write_data(book, sheet, columns, sources):
    sheet.freeze_panes(1, 0)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.set_row(0, 24)
    common = {"bold": True, "bg_color": HEADER_FILL, "border": 1, "border_color": "#BFBFBF", "valign": "vcenter"}
    optional, required = book.add_format(common), book.add_format({**common, "font_color": "#C00000"})
    for index, column in enumerate(columns):
        cell_format = book.add_format({"num_format": column.number_format})
        sheet.set_column(index, index, column.display_width, cell_format)
        sheet.write_string(0, index, column.template_header, required if column.required else optional)
        sheet.write_comment(0, index, _comment(column), {"x_scale": 1.8, "y_scale": 1.4, "font_size": 9})
        if rule := _rule(column, sources):
            sheet.data_validation(1, index, SHEET_ROWS, index, rule)
    last = xl_col_to_name(len(columns) - 1)
    sheet.ignore_errors({"number_stored_as_text": f"A2:{last}{SHEET_ROWS + 1}"})


def _hint(column):
    hint = _HINTS[column.kind]
    return f"{hint}，最多 {column.max_length} 个字" if column.kind == "text" and column.max_length else hint


def _comment(column):
    lines = ["必填" if column.required else "选填", f"格式：{_hint(column)}", column.help]
    if column.example:
        lines.append(f"示例：{column.example}")
    return "\n".join(filter(None, lines))


def _rule(column, sources):
    """The validation of a column's cells, None where anything may be typed."""
    if source := sources.get(column.options):
        if column.kind == "multichoice":  # the list offers a first option and must not refuse a second
            return {"validate": "list", "source": source, "show_error": False, "input_message": _hint(column)}
        return {"validate": "list", "source": source, "error_message": "请从下拉列表中选一项。"} | _REFUSAL
    if limits := _LIMITS.get(column.kind):
        return {**limits, "criteria": "between", "error_message": f"请填写{_hint(column)}。"} | _REFUSAL
    if column.max_length:
        message = f"最多 {column.max_length} 个字，请缩短。"
        limits = {"validate": "length", "criteria": "<=", "value": column.max_length}
        return {**limits, "error_message": message} | _REFUSAL
    return None


def _write_guide(book, sheet, parts, title, notes):
    framed = {"text_wrap": True, "valign": "top", "border": 1, "border_color": "#BFBFBF"}
    cell, required = book.add_format(framed), book.add_format({**framed, "font_color": "#C00000"})
    header = book.add_format({**framed, "bold": True, "bg_color": HEADER_FILL})
    wrapped = book.add_format({"text_wrap": True, "valign": "top"})
    widths = [width for _, width in _GUIDE]

    sheet.hide_gridlines(2)
    sheet.set_landscape()
    sheet.fit_to_pages(1, 0)
    sheet.set_row(0, 28)
    sheet.write_string(0, 0, title, book.add_format({"bold": True, "font_size": 16, "valign": "vcenter"}))
    for row, note in enumerate(notes, 1):
        sheet.set_row(row, row_height([note], [sum(widths)]))
        sheet.merge_range(row, 0, row, len(_GUIDE) - 1, "", wrapped)
        sheet.write_string(row, 0, f"{row}. {note}", wrapped)

    for index, (_, width) in enumerate(_GUIDE):
        sheet.set_column(index, index, width)
    top = len(notes) + 2
    sheet.repeat_rows(top + (len(parts) > 1))
    for name, columns in parts:
        if len(parts) > 1:
            sheet.write_string(top, 0, f"工作表“{name}”", book.add_format({"bold": True}))
            top += 1
        for index, (heading, _) in enumerate(_GUIDE):
            sheet.write_string(top, index, heading, header)
        for row, column in enumerate(columns, top + 1):
            need = "必填" if column.required else "选填"
            texts = [column.name, need, _hint(column), column.help, column.example, _shown(column.options)]
            sheet.set_row(row, row_height(texts, widths))
            for index, text in enumerate(texts):
                sheet.write_string(row, index, text, required if column.required and index < 2 else cell)
        top += len(columns) + 2


def _shown(options):
    shown = "、".join(options[:_CHOICES_SHOWN])
    return f"{shown} 等 {len(options)} 项，见下拉列表" if len(options) > _CHOICES_SHOWN else shown
