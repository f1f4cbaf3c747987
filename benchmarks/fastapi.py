"""Rows of a fastapi-crm database as a company of any size would have them: the same ones for the same number."""

import random
from datetime import datetime, timedelta
from decimal import Decimal

START = datetime(2022, 1, 1, 9)
# of a hundred rows, how many are of which table; the rest are few whatever the size
SHARES = {
    "crm_lead": 14,
    "crm_customer": 13,
    "crm_contact": 14,
    "crm_customer_session": 11,
    "crm_follow_up": 15,
    "crm_visit_plan": 4,
    "crm_return_visit": 3,
    "crm_opportunity": 5,
    "crm_quotation": 3,
    "crm_quotation_item": 4,
    "crm_contract": 3,
    "crm_contract_item": 4,
    "crm_payment_plan": 2,
    "crm_payment_record": 2,
    "crm_invoice": 1,
    "crm_work_order": 2,
}
FEW = {
    "sys_dept": 8,
    "sys_user": 60,
    "crm_lead_pool": 4,
    "crm_product_category": 12,
    "crm_product": 200,
    "crm_marketing_activity": 12,
    "crm_sms_template": 6,
    "crm_sms_marketing": 20,
}


def counts(total) -> dict[str, int]:
    return FEW | {table: max(1, total * share // 100) for table, share in SHARES.items()}


def rows(total):
    """``(table, row)`` of about ``total`` rows in all, one at a time."""
    numbers = counts(total)
    for table, count in numbers.items():
        make = globals()[f"_{table}"]
        for number in range(1, count + 1):
            pick = random.Random(f"{table}{number}")
            yield table, {"id": number, **make(number, pick, numbers)}


def dump(path, total, ddl):
    """A dump of ``total`` rows as mysqldump writes one."""
    with path.open("w", encoding="utf-8") as file:
        file.write(ddl)
        table, waiting = "", []
        for name, row in rows(total):
            if waiting and (name != table or len(waiting) == 500):
                file.write(f"INSERT INTO `{table}` VALUES {','.join(waiting)};\n")
                waiting = []
            if name != table:
                file.write(f"-- {name}: {', '.join(row)}\n")
                file.write(f"INSERT INTO `{name}` ({', '.join(f'`{column}`' for column in row)}) VALUES {_sql(row)};\n")
                table = name
            else:
                waiting.append(_sql(row))
        if waiting:
            file.write(f"INSERT INTO `{table}` VALUES {','.join(waiting)};\n")


def _sql(row) -> str:
    return f"({','.join(_literal(value) for value in row.values())})"


def _literal(value) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, int | Decimal):
        return str(value)
    text = str(value).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{text}'"


def _stamps(pick, *, changed=True) -> dict:
    at = START + timedelta(minutes=pick.randrange(60 * 24 * 1400))
    found = {"created_at": at}
    return found | {"updated_at": at + timedelta(days=pick.randrange(30))} if changed else found


def _one(pick, numbers, table):
    return pick.randint(1, numbers[table])


def _nth(number, numbers, table):
    """Which record of ``table`` row ``number`` belongs to: they take turns, so that every one has some."""
    return (number - 1) % numbers[table] + 1


def _phone(number, first=13):
    return f"{first}{number:09d}"


def _sys_dept(n, pick, numbers):
    stamps = _stamps(pick, changed=False)
    return {
        "dept_name": f"销售{n}部",
        "parent_id": None if n == 1 else (n + 1) // 2 if n > 2 else 1,
        "sort": n,
        **stamps,
    }


def _sys_user(n, pick, numbers):
    return {
        "username": f"fa_user{n:03d}",
        "full_name": f"员工{n:03d}",
        "dept_id": _one(pick, numbers, "sys_dept"),
        "role_ids": "1,2",
        "phone": _phone(n, 15),
        "email": f"user{n}@example.com",
        "status": int(n % 10 != 0),
        "last_login_time": datetime(2025, 10, 1, 8, n % 60),
        **_stamps(pick),
    }


def _crm_lead_pool(n, pick, numbers):
    stamps = _stamps(pick, changed=False)
    return {"pool_name": f"线索池{n}", "description": "市场部线索", "is_public": n % 2, **stamps}


def _crm_lead(n, pick, numbers):
    return {
        "lead_name": f"线索{n}",
        "phone": _phone(n),
        "company": f"线索公司{n}有限公司",
        "position": pick.choice(["采购经理", "总经理", None]),
        "source": pick.choice(["官网", "展会", "转介绍"]),
        "intent_product": f"产品{_one(pick, numbers, 'crm_product')}",
        "intent_level": pick.choice([1, 2, 3, None]),
        "status": pick.choice([1, 2, 2, 3, 4]),
        "remark": "展会上认识",
        "owner_id": pick.choice([None, _one(pick, numbers, "sys_user")]),
        "pool_id": _one(pick, numbers, "crm_lead_pool"),
        "created_by": _one(pick, numbers, "sys_user"),
        **_stamps(pick),
    }


def _crm_customer(n, pick, numbers):
    in_sea = n % 11 == 0
    return {
        "customer_name": f"苏州{pick.choice('恒宏盛达信')}{pick.choice('远诚华通')}第{n}科技有限公司",
        "customer_type": 2,
        "industry": pick.choice(["制造业", "零售", "物流"]),
        "scale": pick.choice(["20-99人", "100-499人", None]),
        "address": f"苏州工业园区星湖街{n}号",
        "status": pick.choice([1, 2, 2, 3]),
        "level": pick.choice([1, 2, 3, None]),
        "source_lead_id": n if n % 3 == 0 and n <= numbers["crm_lead"] else None,
        "owner_id": _one(pick, numbers, "sys_user"),
        "is_in_sea": int(in_sea),
        "sea_time": datetime(2025, 9, 1, 12) if in_sea else None,
        "created_by": _one(pick, numbers, "sys_user"),
        **_stamps(pick),
    }


def _crm_contact(n, pick, numbers):
    return {
        "customer_id": _nth(n, numbers, "crm_customer"),
        "contact_name": f"联系人{n}",
        "position": "工程师",
        "phone": _phone(n, 18),
        "email": f"contact{n}@example.com",
        "is_key": n % 2,
        "communication_preference": pick.choice(["电话", "微信", None]),
        "birthday": "1985-06-15",
        "remark": "负责验收",
        **_stamps(pick),
    }


def _crm_customer_session(n, pick, numbers):
    customer = _nth(n, numbers, "crm_customer")
    return {
        "customer_id": customer,
        "contact_id": customer if customer <= numbers["crm_contact"] else None,
        "session_type": pick.choice(["电话", "微信", "邮件"]),
        "session_time": START + timedelta(hours=n % 30000),
        "content": f"第 {n} 次沟通：确认了需求和交期",
        "tag": pick.choice(["需求沟通", "报价讨论", None]),
        "created_by": _one(pick, numbers, "sys_user"),
        **_stamps(pick, changed=False),
    }


def _crm_follow_up(n, pick, numbers):
    relation = pick.choice(["lead", "customer"])
    return {
        "relation_type": relation,
        "relation_id": _one(pick, numbers, f"crm_{relation}"),
        "follow_type": pick.choice(["电话", "面谈", "微信"]),
        "content": f"第 {n} 条跟进：客户要求报价",
        "next_follow_time": datetime(2026, 12, 1, 9),
        "next_content": "发送报价单",
        "created_by": _one(pick, numbers, "sys_user"),
        **_stamps(pick),
    }


def _crm_visit_plan(n, pick, numbers):
    return {
        "customer_id": _nth(n, numbers, "crm_customer"),
        "visit_purpose": "商谈年度合同",
        "visit_time": START + timedelta(hours=n % 30000),
        "address": "客户会议室",
        "participants": f"员工{_one(pick, numbers, 'sys_user'):03d}、员工{_one(pick, numbers, 'sys_user'):03d}",
        "materials": "样册",
        "status": pick.choice([1, 2, 3]),
        "summary": "客户同意试用",
        "created_by": _one(pick, numbers, "sys_user"),
        **_stamps(pick),
    }


def _crm_return_visit(n, pick, numbers):
    contract = _nth(n, numbers, "crm_contract")
    status = pick.choice([1, 2, 3])
    return {
        "customer_id": _nth(contract, numbers, "crm_customer"),
        "contract_id": contract,
        "visit_type": pick.choice(["电话", "上门", "问卷"]),
        "plan_time": datetime(2025, 8, 1, 10),
        "actual_time": datetime(2025, 8, 2, 10) if status == 2 else None,
        "content": "了解使用情况",
        "feedback": "运行正常",
        "status": status,
        "created_by": _one(pick, numbers, "sys_user"),
        **_stamps(pick, changed=False),
    }


def _crm_product(n, pick, numbers):
    return {
        "product_name": f"产品{n}",
        "category_id": _one(pick, numbers, "crm_product_category"),
        "specification": f"{n}kW 380V",
        "unit": "台",
        "price": Decimal(n * 100) + Decimal("0.5000"),
        "cost_price": Decimal(n * 60),
        "status": int(n % 7 != 0),
        "description": "三相变频器",
        **_stamps(pick, changed=False),
    }


def _crm_product_category(n, pick, numbers):
    return {"category_name": f"分类{n}", "parent_id": None if n < 4 else n // 3, "sort": n}


def _crm_opportunity(n, pick, numbers):
    status = pick.choice([1, 1, 2, 3])
    return {
        "customer_id": _nth(n, numbers, "crm_customer"),
        "opportunity_name": f"第{n}期产线改造",
        "product_ids": ",".join(str(_one(pick, numbers, "crm_product")) for _ in range(2)),
        "estimated_amount": Decimal(pick.randrange(10**7)) / 100,
        "win_probability": pick.choice([10, 50, 90, None]),
        "stage": pick.choice(["初步接触", "需求分析", "商务谈判"]),
        "expected_close_time": "2026-12-31",
        "status": status,
        "lose_reason": "价格太高" if status == 3 else None,
        "owner_id": _one(pick, numbers, "sys_user"),
        **_stamps(pick),
    }


def _crm_quotation(n, pick, numbers):
    opportunity = _nth(n, numbers, "crm_opportunity")
    return {
        "quotation_no": f"FQ{n:07d}",
        "opportunity_id": opportunity,
        "customer_id": _nth(opportunity, numbers, "crm_customer"),
        "total_amount": _worth(n, numbers, "crm_quotation"),
        "valid_until": "2026-12-31",
        "status": pick.choice([1, 2, 3, 4]),
        "remark": "含税",
        "created_by": _one(pick, numbers, "sys_user"),
        **_stamps(pick),
    }


def _price(n) -> Decimal:
    return Decimal(n % 1000 + 1) * 10


def _worth(n, numbers, table) -> Decimal:
    """What the lines of document ``n`` come to."""
    lines = range(n, numbers[f"{table}_item"] + 1, numbers[table])
    return sum((_price(line) * 2 for line in lines), Decimal(0)) if lines else Decimal(0)


def _line(n, pick, numbers, table):
    return {
        f"{table.removeprefix('crm_')}_id": _nth(n, numbers, table),
        "product_id": _one(pick, numbers, "crm_product"),
        "specification": "7.5kW 380V",
        "quantity": Decimal("2.0000"),
        "unit": "台",
        "unit_price": _price(n),
    }


def _crm_quotation_item(n, pick, numbers):
    return {**_line(n, pick, numbers, "crm_quotation"), "discount": Decimal(100), "amount": _price(n) * 2}


def _crm_contract(n, pick, numbers):
    quotation = _nth(n, numbers, "crm_quotation")
    opportunity = _nth(quotation, numbers, "crm_opportunity")
    return {
        "contract_no": f"FH{n:07d}",
        "customer_id": _nth(n, numbers, "crm_customer"),
        "opportunity_id": opportunity if opportunity == n else None,
        "quotation_id": quotation if quotation == n else None,
        "contract_name": f"第{n}号供货合同",
        "sign_date": "2025-03-15",
        "start_date": "2025-04-01",
        "end_date": "2026-12-31",
        "total_amount": _worth(n, numbers, "crm_contract"),
        "status": pick.choice([1, 2, 3, 3, 4]),
        "file_url": f"https://files.example.com/contract/{n}.pdf",
        "remark": "分两期付款",
        "created_by": _one(pick, numbers, "sys_user"),
        **_stamps(pick),
    }


def _crm_contract_item(n, pick, numbers):
    return {**_line(n, pick, numbers, "crm_contract"), "amount": _price(n) * 2}


def _crm_payment_plan(n, pick, numbers):
    contract = _nth(n, numbers, "crm_contract")
    return {
        "contract_id": contract,
        "plan_amount": _worth(contract, numbers, "crm_contract") / 2,
        "plan_date": "2025-05-01",
        "payment_term": "首付",
        "status": pick.choice([1, 2, 3]),
        **_stamps(pick, changed=False),
    }


def _crm_payment_record(n, pick, numbers):
    contract = _nth(n, numbers, "crm_contract")
    return {
        "contract_id": contract,
        "plan_id": n if _nth(n, numbers, "crm_contract") == _nth(n, numbers, "crm_payment_plan") else None,
        "payment_no": f"FP{n:07d}",
        "payment_amount": _worth(contract, numbers, "crm_contract") / 4,
        "payment_date": "2025-05-02",
        "payment_method": pick.choice(["转账", "现金"]),
        "bank_flow": f"https://files.example.com/slip/{n}.png",
        "remark": "首付",
        "created_by": _one(pick, numbers, "sys_user"),
        **_stamps(pick, changed=False),
    }


def _crm_invoice(n, pick, numbers):
    contract = _nth(n, numbers, "crm_contract")
    return {
        "invoice_no": f"24{n:018d}",
        "contract_id": contract,
        "payment_id": n if n <= numbers["crm_payment_record"] else None,
        "invoice_type": pick.choice(["专票", "普票"]),
        "amount": _worth(contract, numbers, "crm_contract") / 4,
        "issue_date": "2025-05-10",
        "status": pick.choice([1, 2, 3]),
        "file_url": f"https://files.example.com/invoice/{n}.pdf",
        **_stamps(pick, changed=False),
    }


def _crm_marketing_activity(n, pick, numbers):
    return {
        "activity_name": f"2025 年第 {n} 场展会",
        "activity_type": pick.choice(["展会", "直播", "促销"]),
        "start_time": datetime(2025, n % 12 + 1, 1, 9),
        "end_time": datetime(2025, n % 12 + 1, 3, 18),
        "budget": Decimal(50000),
        "actual_cost": Decimal("48600.50"),
        "status": 3,
        "description": "华东工业展",
        "created_by": _one(pick, numbers, "sys_user"),
        **_stamps(pick, changed=False),
    }


def _crm_sms_marketing(n, pick, numbers):
    return {
        "template_id": _one(pick, numbers, "crm_sms_template"),
        "activity_id": _one(pick, numbers, "crm_marketing_activity"),
        "send_time": datetime(2025, 6, n % 28 + 1, 10),
        "target_tag": "沉睡客户",
        "total_count": 100 + n,
        "success_count": 98 + n,
        "fail_count": 2,
        "created_by": _one(pick, numbers, "sys_user"),
        **_stamps(pick, changed=False),
    }


def _crm_sms_template(n, pick, numbers):
    return {
        "template_name": f"活动模板{n}",
        "content": "尊敬的${name}，欢迎参加我们的活动，拒收请回复R",
        "template_type": pick.choice(["营销", "通知"]),
        "is_enabled": n % 2,
        **_stamps(pick, changed=False),
    }


def _crm_work_order(n, pick, numbers):
    customer = _nth(n, numbers, "crm_customer")
    status = pick.choice([1, 2, 3, 4])
    return {
        "order_no": f"FW{n:07d}",
        "customer_id": customer,
        "contact_id": customer if customer <= numbers["crm_contact"] else None,
        "contract_id": customer if customer <= numbers["crm_contract"] else None,
        "order_type": pick.choice(["售后问题", "产品咨询", "投诉"]),
        "title": "变频器启动报警",
        "content": "三号线变频器开机即报 E07",
        "priority": pick.choice([1, 2, 3]),
        "status": status,
        "assignee_id": _one(pick, numbers, "sys_user") if status > 1 else None,
        "solution": "更换风扇" if status > 2 else None,
        "satisfaction": pick.choice([3, 4, 5]) if status == 4 else None,
        "created_by": _one(pick, numbers, "sys_user"),
        **_stamps(pick),
    }
