"""Work orders handed in by customers' programs."""

from django.core.exceptions import ValidationError

from crm.models import DictionaryItem
from customers.models import Priority
from customers.tracking import openapi
from customers.tracking.api import signed
from customers.tracking.services.signing import ApiError
from sales.models import Contract
from service.models.workorders import LONG_TEXT
from service.services import workorders

LIMITS = {"type": 100, "title": 500, "description": LONG_TEXT, "priority": 10, "contract_no": 50}


def _texts(data) -> dict[str, str]:
    """The texts of a request. Raises ApiError naming the field that is none, or too long."""
    found = {}
    for name, longest in LIMITS.items():
        value = data.get(name)
        if value is not None and not isinstance(value, str):
            raise ApiError(400, "invalid_field", f"{name} 应为文本")
        found[name] = (value or "").replace("\0", "").strip()
        if len(found[name]) > longest:
            raise ApiError(400, "invalid_field", f"{name} 最多 {longest} 个字")
    return found


def _type(name):
    """The active type by its code or its name. Raises ApiError naming those there are."""
    items = list(DictionaryItem.objects.filter(type="work_order_type", is_active=True))
    for item in items:
        if name and name in (item.code, item.label):
            return item
    raise ApiError(400, "invalid_type", f"type 应为以下之一：{'、'.join(item.label for item in items)}")


@signed("POST", effect=True)
def submit(customer, data):
    """A work order of ``customer``: type and description are needed; a contract is one of its own."""
    given = _texts(data)
    if not given["description"]:
        raise ApiError(400, "missing_description", "请在 description 里写明问题")
    if given["priority"] not in ("", *Priority.values):
        raise ApiError(400, "invalid_priority", f"priority 应为 {'、'.join(Priority.values)} 之一，或不填")
    contract = None
    if given["contract_no"]:
        contract = Contract.objects.valid().filter(customer=customer, number=given["contract_no"]).first()
        if contract is None:
            raise ApiError(404, "contract_not_found", "没有这份合同")
    try:
        order = workorders.open_by_customer(
            customer,
            _type(given["type"]),
            given["description"],
            title=given["title"],
            priority=given["priority"],
            contract=contract,
        )
    except ValidationError as error:
        raise ApiError(400, "invalid_field", "；".join(error.messages)) from error
    return {
        "message": "工单已提交",
        "work_order": {
            "number": order.number,
            "status": order.status,
            "status_name": order.get_status_display(),
            "title": order.title,
            "priority": order.priority,
        },
    }


BODY = {
    "type": "object",
    "required": ["type", "description"],
    "properties": {
        "type": {"type": "string", "minLength": 1, "maxLength": 100, "description": "工单类型的代码或名称"},
        "title": {"type": "string", "maxLength": 500, "description": "概要，不填则取问题描述的第一行"},
        "description": {"type": "string", "minLength": 1, "maxLength": LONG_TEXT, "description": "问题描述"},
        "priority": {"type": "string", "enum": ["", *Priority.values], "description": "不填则按客户的阶段取默认值"},
        "contract_no": {"type": "string", "maxLength": 50, "description": "关联合同的编号"},
    },
}


def paths() -> dict:
    call = openapi.signed_call("提交工单", body=BODY, effect=True, success="工单已提交；同一幂等键的答复相同")
    return {"/api/work-orders": {"post": call}}
