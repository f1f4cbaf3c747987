"""Files that nobody here made, as they came: in by mapping alone, and nothing the second time.

They lie beside the project in ../shared/data and are not part of it.
"""

import io
from pathlib import Path

import pytest

from crm.models import ImportBatch
from customers.models import Contact, Customer
from tests.crm.excel.browsing import LIST, confirmed, kinds, shown, work

DATA = Path(__file__).resolve().parents[4] / "shared" / "data"
pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not DATA.is_dir(), reason="没有 ../shared/data 里的真实文件"),
]
# file, what the person changes of the suggested mapping by header, what unknown words mean, customers and contacts
FILES = [
    ("customers_en/customers-10000.csv", {"Last Name": "+name", "Phone 2": "+telephone"}, {}, 10000, 10000),
    ("customers_en/WA_Fn-UseC_-Telco-Customer-Churn.csv", {"customerID": "name", "Contract": ""}, {}, 7043, 0),
    ("customers_en/Sample - Superstore.xls", {"Region": "", "Postal Code": "", "Country": ""}, {}, 793, 0),
    ("crm_maven/accounts.csv", {}, {"country:Philipines": "菲律宾"}, 85, 0),
    ("cn_customers/客户信息表_xl.xlsx", {"业务经理编号": "", "客户方负责人": "+name", "联系电话": ""}, {}, 55, 55),
    ("cn_customers/客户信息表_pd.xlsx", {"业务经理编号": "", "客户方负责人": "+name", "联系电话": ""}, {}, 55, 55),
    ("cn_customers/客户导入模板.xlsx", {}, {"kind:物业": "企业", "kind:商业": "企业", "kind:工厂": "-"}, 3, 3),
    ("cn_customers/客户信息.csv", {"姓名": "name"}, {}, 10, 0),
    ("cn_small/test.csv", {"编号": "name", "注册时间": "remark"}, {}, 6, 0),
    ("cn_small/test1.csv", {"编号": "name"}, {}, 6, 0),
    ("cn_small/fillna.xlsx", {"姓名": "name"}, {}, 6, 0),
    ("cn_small/5.2.xlsx", {"唯一识别码": "code"}, {}, 4, 0),
    ("legacy_jsherp/customer_template.xls", {}, {}, 2, 2),
    ("legacy_jsherp/vendor_template.xls", {}, {}, 2, 2),
]


def opened(name):
    file = io.BytesIO((DATA / name).read_bytes())
    file.name = Path(name).name
    return file


def checked(page, name, changes, words) -> ImportBatch:
    answer = page.post(f"{LIST}import/", {"file": opened(name)})
    assert answer.status_code == 302, answer.context["problem"]
    batch = ImportBatch.objects.latest("pk")
    chosen = {batch.titles[int(index)]: (index, field) for index, field in batch.mapping.items()}
    chosen |= {title: (batch.titles.index(title), field) for title, field in changes.items()}
    page.post(f"/crm/importbatch/{batch.pk}/map/", {f"column-{index}": field for index, field in chosen.values()})
    work()
    batch.refresh_from_db()
    if words and batch.counts["unknown"]:
        page.post(f"/crm/importbatch/{batch.pk}/change/", {f"word-{word}": meaning for word, meaning in words.items()})
        work()
        batch.refresh_from_db()
    return batch


@pytest.mark.parametrize(("name", "changes", "words", "customers", "contacts"), FILES, ids=[f[0] for f in FILES])
def test_it_comes_in_by_mapping_alone_and_once(page, name, changes, words, customers, contacts):
    batch = checked(page, name, changes, words)
    assert not {"error", "conflict"} & kinds(batch).keys(), list(batch.rows.exclude(problems=[]).values()[:5])
    confirmed(page, batch)
    assert Customer.objects.count() == customers
    assert Contact.objects.count() == contacts
    again = checked(page, name, changes, words)
    assert kinds(again).keys() == {"unchanged"}
    assert "文件内容与系统中的数据完全一致" in shown(page, again)


def test_what_excel_made_of_numbers_is_undone(page):
    """13000000000.0 is a phone, 7.0 a percentage, 0001 a code."""
    confirmed(page, checked(page, "legacy_jsherp/customer_template.xls", {}, {}))
    contact = Contact.objects.get(name="小梁")
    assert (contact.mobile, contact.customer.tax_rate) == ("13000000000", 7)
    confirmed(page, checked(page, "cn_customers/业务经理信息表_xl.xlsx", {"业务经理": "name", "区域": ""}, {}))
    assert Customer.objects.filter(name="占亮").exists()
    confirmed(page, checked(page, "cn_customers/客户信息.csv", {"姓名": "name"}, {}))
    assert Customer.objects.get(name="Tom").code == "001"
