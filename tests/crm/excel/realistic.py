"""A salesperson's workbook: thousands of believable customers in our template, forty of them spoilt in ten ways."""

from datetime import date, timedelta
from random import Random

from openpyxl.utils import get_column_letter

from customers.demo import words

REASONS = {  # how a row is spoilt: what the preview says of it
    "missing name": "客户名称不能为空",
    "unknown level": "客户等级没有“VIP 至尊”这一项",
    "code twice in the file": "重复，同一文件中只能出现一次",
    "code of another customer": "该代码已是",
    "bad phone": "不是有效的电话号码",
    "bad date": "不是有效的日期",
    "rounded number": "16 位以上的数字",
    "too long": "个字），最多 100 个字",
    "somebody else's": "您无权修改",
    "formula": "是公式",
    "merged cell": "是合并单元格的一部分",
}
# ten kinds of four rows; a code can be taken in the file or in the database
SPOILT = [kind for kind in REASONS if not kind.startswith("code")] * 4 + ["code twice in the file"] * 2
SPOILT += ["code of another customer"] * 2


def rows(count, seed=20240601):
    """``count`` customers as ``{column of the template: value}``; the same every time."""
    random = Random(seed)
    for number in range(count):
        profile = words.domestic_company(random)
        person = words.chinese(random)
        yield {
            "客户代码": f"{number + 1:06d}",
            "客户名称": f"{profile.name[:-4]}{number + 1:04d}{profile.name[-4:]}",
            "客户简称": profile.name[2:6],
            "客户等级": random.choice(["A级", "B级", "C级", None]),
            "所属行业": random.choice(["制造业", "零售", None]),
            "联系电话": words.telephone_in(random, profile),
            "联系邮箱": f"info{number}@example.com",
            "地址": profile.address,
            "税率（%）": random.choice([13, "6%", 0.03, None]),
            "营业执照注册号": words.credit_code(random, "440300"),
            "注册资金（元）": random.choice([1_000_000, "500万", None]),
            "中信保客户": random.choice(["是", "否", None]),
            "备注": random.choice(["展会认识😀", "𠮷祥介绍", None]),
            "联系人": person.name,
            "联系人手机": f"139{number:08d}",
            "联系人生日": date(1970, 1, 1) + timedelta(days=random.randrange(12_000)),
        }


def fill(sheet, count, *, own, foreign) -> dict[int, str]:
    """Write ``count`` rows below the header of ``sheet``; gives ``{row number: how it is spoilt}``.

    ``own`` are codes of customers of the importer, ``foreign`` names of somebody else's: one for each spoilt row.
    """
    own, foreign = iter(own), iter(foreign)
    columns = {str(cell.value).rstrip("*"): cell.column for cell in sheet[1]}
    spoilt = {count * (place + 1) // (len(SPOILT) + 1) + 2: kind for place, kind in enumerate(SPOILT)}
    for number, row in enumerate(rows(count), 2):
        if number in spoilt:
            _spoil(row, spoilt[number], own, foreign)
        for title, value in row.items():
            sheet.cell(number, columns[title], value)
    level = get_column_letter(columns["客户等级"])
    for number, kind in spoilt.items():
        if kind == "formula":
            sheet.cell(number, columns["客户名称"], f'=CONCATENATE("分公司",{level}{number})')
        if kind == "merged cell":
            sheet.merge_cells(f"{level}{number - 1}:{level}{number}")
    return spoilt


def _spoil(row, kind, own, foreign):
    if kind == "missing name":
        row["客户名称"] = None
    elif kind == "unknown level":
        row["客户等级"] = "VIP 至尊"
    elif kind == "code twice in the file":
        row["客户代码"] = "000001"
    elif kind == "code of another customer":
        row["客户代码"] = next(own)
    elif kind == "bad phone":
        row["联系人手机"] = "打不通"
    elif kind == "bad date":
        row["联系人生日"] = "1990-02-30"
    elif kind == "rounded number":
        row["营业执照注册号"] = 914403001234567890
    elif kind == "too long":
        row["客户简称"] = "长" * 101
    elif kind == "somebody else's":
        row |= {"客户代码": None, "客户名称": next(foreign)}


def mend(sheet, header_row):
    """Correct every row of an error workbook as its reason says, whatever column it names."""
    columns = {str(cell.value).rstrip("*"): cell.column for cell in sheet[header_row] if cell.value}
    for number in range(header_row + 1, sheet.max_row + 1):
        reason = sheet.cell(number, columns["错误原因"]).value
        kind = next(kind for kind, words in REASONS.items() if words in reason)
        for title, value in {
            "missing name": {"客户名称": f"补名公司{number}"},
            "unknown level": {"客户等级": "A级"},
            "code twice in the file": {"客户代码": f"CF{number}"},
            "code of another customer": {"客户代码": f"CF{number}"},
            "bad phone": {"联系人手机": "0755-86012345"},
            "bad date": {"联系人生日": date(1990, 2, 28)},
            "rounded number": {"营业执照注册号": "914403001234567890"},
            "too long": {"客户简称": "简称"},
            "somebody else's": {"客户代码": f"CF{number}"},
            "formula": {"客户名称": f"分公司{number}"},
            "merged cell": {"客户等级": "B级"},
        }[kind].items():
            sheet.cell(number, columns[title], value)
