"""`docs/field-map.csv`: nothing of the five replaced systems gets lost.

A line says where a column of an old system lives now (`target`), how its codes translate (`old=new;…` in `note`), or
why it needs no field. `SOURCE` is the list of all columns; it stays outside the repository.
"""

import csv
import re
from datetime import datetime
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps
from django.contrib import admin
from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.test import RequestFactory
from django.urls import reverse
from django.utils import timezone

from crm.fields import DictionaryField, MultiChoiceField, PhoneField
from crm.models import DictionaryItem, User
from customers.models import (
    BankAccount,
    Contact,
    CreditLimit,
    Customer,
    CustomerCategory,
    CustomerPath,
    Interaction,
    RealCustomer,
    ShippingMark,
    VisitPlan,
)
from sales.models import (
    Contract,
    DevelopmentPlan,
    FollowUp,
    Lead,
    LeadPool,
    MarketingActivity,
    Opportunity,
    Product,
    ProductCategory,
    SmsCampaign,
    SmsTemplate,
)
from service.models import RetentionMeasure, ReturnVisit, WorkOrder, WorkOrderEntry
from tests.factories import make

ROOT = Path(__file__).parent.parent
SOURCE = ROOT.parent / "shared" / "seeds" / "fields.csv"
COLUMNS = 554

FINISHED = {
    ("dms-customer", "customer"),
    ("dms-customer", "real_customers_info"),
    ("dms-customer", "customer_cancel_key"),
    ("dms-customer", "customer_attached"),
    ("dms-customer", "dms_business_log"),
    ("fastapi-crm", "sys_user"),
    ("fastapi-crm", "sys_dept"),
    ("fastapi-crm", "crm_customer"),
    ("fastapi-crm", "crm_contact"),
    ("fastapi-crm", "crm_lead"),
    ("fastapi-crm", "crm_lead_pool"),
    ("fastapi-crm", "crm_customer_session"),
    ("fastapi-crm", "crm_follow_up"),
    ("fastapi-crm", "crm_visit_plan"),
    ("fastapi-crm", "crm_return_visit"),
    ("fastapi-crm", "crm_work_order"),
    ("fastapi-crm", "crm_marketing_activity"),
    ("fastapi-crm", "crm_sms_marketing"),
    ("fastapi-crm", "crm_sms_template"),
    ("fastapi-crm", "crm_product"),
    ("fastapi-crm", "crm_product_category"),
    ("fastapi-crm", "crm_opportunity"),
    ("fastapi-crm", "crm_quotation"),
    ("fastapi-crm", "crm_quotation_item"),
    ("fastapi-crm", "crm_contract"),
    ("fastapi-crm", "crm_contract_item"),
    ("fastapi-crm", "crm_payment_plan"),
    ("fastapi-crm", "crm_payment_record"),
    ("fastapi-crm", "crm_invoice"),
    ("eplus-crm", "CUSTOMER"),
    ("eplus-crm", "CONTACT"),
    ("eplus-crm", "BANK_ACCOUNT"),
    ("eplus-crm", "MARK"),
    ("eplus-crm", "CATEGORY"),
    ("eplus-crm", "COMPANY_PATH"),
    ("eplus-crm", "CREDIT_HISTORY"),
    ("eplus-crm", "STAGE_HISTORY"),
    ("eplus-crm", "CLAIM_HISTORY"),
    ("information-tracking", "informationtra"),
    ("information-tracking", "users"),
    ("information-tracking", "contacts"),
    ("information-tracking", "record API"),
    ("java-crm", "t_customer"),
    ("java-crm", "t_customer_linkman"),
    ("java-crm", "t_customer_contact"),
    ("java-crm", "t_customer_loss"),
    ("java-crm", "t_customer_reprieve"),
    ("java-crm", "t_customer_serve"),
    ("java-crm", "t_sale_chance"),
    ("java-crm", "t_cus_dev_plan"),
    ("java-crm", "t_customer_order"),
    ("java-crm", "t_order_details"),
    ("java-crm", "t_datadic"),
    ("java-crm", "t_user"),
    ("java-crm", "t_role"),
    ("java-crm", "t_customer_order"),
    ("java-crm", "t_order_details"),
}
# columns that held more characters than ours, and why that is enough
NARROWER = {
    ("information-tracking", "contacts", "phoneNumber"): "号码连分机不超过 40 个字符",
    ("dms-customer", "dms_business_log", "ip_address"): "只有 IPv4 嵌入 IPv6 的写法超过 39 个字符，保存时化为最短写法",
    ("fastapi-crm", "crm_contract", "file_url"): "文件收进附件库，内部名定长 32 个字符",
    ("java-crm", "t_role", "role_name"): "角色名最长 150 字，由 Django 的用户组决定",
    ("java-crm", "t_customer", "post_code"): "各国邮编都不超过 20 个字符",
    ("java-crm", "t_customer_linkman", "office_phone"): "号码连分机不超过 40 个字符",
    ("java-crm", "t_sale_chance", "link_phone"): "号码连分机不超过 40 个字符",
}
# codes that need no translation: freight costs are another product's log; in the sea is who has no owner; of free texts
# the comment gives examples; a work order that nobody created is the customer's own
WITHOUT_CODE = {
    ("fastapi-crm", "crm_lead", "lead_name"): {"个人", "企业名"},
    ("fastapi-crm", "crm_lead_pool", "pool_name"): {"公共池", "市场部池"},
    ("dms-customer", "dms_business_log", "business_source"): {"1"},
    ("fastapi-crm", "crm_customer", "is_in_sea"): {"0", "1"},
    ("fastapi-crm", "crm_opportunity", "lose_reason"): {"3"},
    ("fastapi-crm", "crm_work_order", "created_by"): {"客户", "员工"},
    ("fastapi-crm", "crm_payment_plan", "payment_term"): {"首付", "尾款"},
    ("information-tracking", "record API", "eventType"): {"3"},  # the number of a chapter
}

CODE = re.compile(r"([^\s;，；（）]+)=([^\s;，；（）]+)")
PLANNED = re.compile(r"([a-z_]+)\.([A-Z]\w*)(?:\.(\w+))?", re.ASCII)


def read(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def field_map():
    return read(ROOT / "docs" / "field-map.csv")


def key(line):
    return line["system"], line["table"], line["column"]


def mapped():
    return [line for line in field_map() if line["target"]]


def resolve(target):
    """The model field that ``app.Model.field`` names, None if there is none."""
    app, model, name = target.split(".")
    try:
        return apps.get_model(app, model)._meta.get_field(name)
    except (LookupError, FieldDoesNotExist):
        return None


def codes(line):
    return dict(CODE.findall(line["note"]))


@pytest.fixture(scope="module")
def source():
    if not SOURCE.exists():
        pytest.skip("旧系统字段清单 ../shared/seeds/fields.csv 不在")
    return {key(line): line for line in read(SOURCE)}


def test_every_column_of_every_old_system_has_one_line_in_the_order_of_the_list(source):
    assert [key(line) for line in field_map()] == list(source)


def test_no_line_is_lost_or_doubled():
    assert len(field_map()) == len({key(line) for line in field_map()}) == COLUMNS


def test_every_target_is_a_field_that_exists():
    assert not [line for line in mapped() if resolve(line["target"]) is None]


def test_in_finished_tables_only_keys_and_replaced_columns_lack_a_field():
    for line in field_map():
        if (line["system"], line["table"]) in FINISHED and not line["target"]:
            assert line["note"].startswith(("主键：", "取代：")), line


def test_tables_of_later_rooms_say_where_they_will_go():
    for line in field_map():
        if (line["system"], line["table"]) not in FINISHED:
            assert not line["target"] and re.match("后续模块：.", line["note"]), line


def test_a_planned_field_that_has_come_to_exist_is_a_target():
    for line in field_map():
        planned = PLANNED.search(line["note"]) if line["note"].startswith("后续模块：") else None
        if planned:
            app, model, name = planned.groups()
            assert resolve(f"{app}.{model}.{name or 'id'}") is None, line


@pytest.mark.django_db
def test_every_code_translates_to_a_value_of_its_field():
    for line in mapped():
        field = resolve(line["target"])
        for new in codes(line).values():
            if isinstance(field, DictionaryField):
                assert DictionaryItem.objects.filter(type=field.type, code=new).exists(), line
            elif isinstance(field, MultiChoiceField):
                assert new in dict(field.options), line
            elif isinstance(field, models.BooleanField):
                assert new in {"true", "false"}, line
            elif isinstance(field, models.ForeignKey):
                assert field.related_model.objects.filter(name=new).exists(), line
            else:
                assert new in {str(value) for value, _ in field.flatchoices}, line


def test_every_code_that_an_old_comment_names_is_translated(source):
    checked = 0
    for line in mapped():
        comment = source[key(line)]["comment"]
        named = set(re.findall(r"(\d)\s*[-:]?(?=[A-Z\u4e00-\u9fff])", comment))
        for words in re.findall(r"\w+(?:/\w+)+", comment):
            named |= set(words.split("/"))
        named -= WITHOUT_CODE.get(key(line), set())
        assert named <= set(codes(line)), line
        checked += len(named)
    assert checked > 40


@pytest.mark.django_db
def test_states_and_levels_mean_what_they_meant():
    """The same number means different things in different systems."""
    translated = {key(line): codes(line) for line in mapped()}
    assert translated["dms-customer", "customer", "customer_level"] == {"1": "C", "2": "P", "3": "S"}
    assert translated["fastapi-crm", "crm_customer", "level"] == {"1": "A", "2": "B", "3": "C"}
    assert translated["dms-customer", "customer", "customer_status"] == {
        "0": "pending",
        "1": "approved",
        "2": "rejected",
        "3": "suspended",
    }
    assert translated["fastapi-crm", "crm_customer", "status"] == {"1": "potential", "2": "won", "3": "lost"}
    for label, code in translated["java-crm", "t_customer", "level"].items():
        level = DictionaryItem.objects.get(type="level", code=code)
        assert label.casefold() in level.names()


def test_no_text_is_cut(source):
    for line in mapped():
        width = re.match(r"(?:var)?char\((\d+)\)", source[key(line)]["type"])
        field = resolve(line["target"])
        if width and field.max_length and not field.choices and key(line) not in NARROWER:
            assert field.max_length >= int(width[1]), line


# --- Through the form ------------------------------------------------------------------------------------------------

FORMS = [
    Customer,
    Contact,
    CreditLimit,
    CustomerPath,
    BankAccount,
    ShippingMark,
    RealCustomer,
    CustomerCategory,
    Lead,
    LeadPool,
    DevelopmentPlan,
    FollowUp,
    Interaction,
    VisitPlan,
    WorkOrder,
    WorkOrderEntry,
    ReturnVisit,
    RetentionMeasure,
    MarketingActivity,
    SmsCampaign,
    SmsTemplate,
    ProductCategory,
    Product,
    Opportunity,
]
# said once, when the record is entered
FIXED = {Opportunity: {"customer"}}
BOOKKEEPING = {"created_at", "created_by", "updated_at", "updated_by", "is_valid"}
BY_BUTTON = {
    "owner",
    "review_status",
    "deal_status",
    "stage",
    "change_status",
    "version_no",
    "status",
    "assigned_at",
    "owned_since",
    "author",
    "summary",
    "solution",
    "satisfaction",
    "lose_reason",
}


def targets(model):
    names = {line["target"].split(".")[2] for line in mapped() if resolve(line["target"]).model is model}
    return sorted(names - BOOKKEEPING - BY_BUTTON - FIXED.get(model, set()))


def sample(field):
    """A value of ``field`` that no new record has, as wide as the field allows."""
    if isinstance(field, DictionaryField):
        return DictionaryItem.objects.filter(type=field.type).last()
    if isinstance(field, models.ManyToManyField):
        return [make(field.related_model), make(field.related_model)]
    if isinstance(field, models.ForeignKey):
        return make(field.related_model)
    if isinstance(field, MultiChoiceField):
        return [code for code, _ in field.options[1:3]]
    if field.choices:
        return field.choices[-1][0]
    if isinstance(field, models.BooleanField):
        return not field.get_default()
    if isinstance(field, models.DecimalField):
        return field.to_python(f"{12.34:.{field.decimal_places}f}")
    if isinstance(field, models.IntegerField):
        return 42
    if isinstance(field, models.DateTimeField):
        return timezone.make_aware(datetime(1984, 2, 29, 9, 30))
    if isinstance(field, models.DateField):
        return field.to_python("1984-02-29")
    if isinstance(field, PhoneField):
        return "+86 (021) 6888-1234 转 805"
    if isinstance(field, models.EmailField):
        return f"{field.name}@customer.example"
    text = f"{field.name}：𠮷㛃 é ０００１ 😀"
    return text if field.max_length is None else (text + "客" * field.max_length)[: field.max_length]


def posted(value):
    """``value`` as a browser sends it; None for a box that is not ticked."""
    if isinstance(value, list):
        return [posted(item) for item in value]
    if isinstance(value, bool):
        return "on" if value else None
    if isinstance(value, datetime):
        return value
    return str(value.pk if isinstance(value, models.Model) else value)


def stored(obj, field):
    value = getattr(obj, field.name)
    return list(value.order_by("pk")) if field.many_to_many else value


@pytest.mark.django_db
@pytest.mark.parametrize("model", FORMS)
def test_every_mapped_value_is_written_and_read_through_the_form(model, browse):
    request = RequestFactory().get("/")
    request.user = make(User, is_superuser=True)
    model_admin = admin.site._registry[model]
    obj = make(model)
    names = targets(model)
    assert names
    fields = {name: model._meta.get_field(name) for name in names}
    values = {name: sample(field) for name, field in fields.items()}
    if "contact" in values:
        values["contact"] = make(Contact, customer=values["customer"])
    if "contract" in values:
        values["contract"] = make(Contract, customer=values["customer"])

    form = model_admin.get_form(request, obj, change=True)
    data = {name: form(instance=obj)[name].value() for name in form.base_fields}
    data |= {name: posted(value) for name, value in values.items()} | {"lock_version": obj.lock_version}
    for name in [name for name, value in data.items() if isinstance(value, datetime)]:
        moment = timezone.localtime(data.pop(name))
        data |= {f"{name}_0": f"{moment:%Y-%m-%d}", f"{name}_1": f"{moment:%H:%M:%S}"}
    for formset, _ in model_admin.get_formsets_with_inlines(request, obj):
        data |= {f"{formset.get_default_prefix()}-{part}_FORMS": 0 for part in ("TOTAL", "INITIAL")}
    url = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_change", args=[obj.pk])
    answer = browse(request.user).post(url, {name: value for name, value in data.items() if value is not None})
    assert answer.status_code == 302

    obj = model.objects.get(pk=obj.pk)
    assert {name: stored(obj, field) for name, field in fields.items()} == values
    shown = form(instance=obj)
    for name, value in values.items():
        assert posted(shown[name].value()) == posted(value)
