"""Documents by Excel with their lines on a second sheet: out, in again, previewed, all or nothing, taken back."""

import io
from decimal import Decimal

import openpyxl
import pytest
from django.contrib.contenttypes.models import ContentType

from crm import jobs
from crm.excel import export
from crm.excel.resource import resource_for
from crm.models import ApprovalRequest, BusinessLog, Company, ImportBatch, ImportRow, Job, Operation, User
from customers.models import Customer, ReviewStatus
from sales.models import (
    Contract,
    ContractItem,
    Opportunity,
    OpportunityItem,
    Order,
    OrderItem,
    OrderStatus,
    Product,
    Quotation,
    QuotationItem,
)
from sales.services.contracts import REVIEW
from tests.factories import make

pytestmark = pytest.mark.django_db

FOUR = {
    Order: (OrderItem, "订单明细"),
    Quotation: (QuotationItem, "报价明细"),
    Contract: (ContractItem, "合同明细"),
    Opportunity: (OpportunityItem, "商机产品"),
}
HEADS = ["订单编号", "客户代码", "币种", "备注"]
LINES = ["订单编号", "行号", "产品编号", "品名", "数量", "单价", "折扣（%）"]


@pytest.fixture(autouse=True)
def own_folder(tmp_path, settings):
    settings.FILES_DIR = tmp_path


@pytest.fixture
def customer(floor):
    return make(Customer, owner=floor.seller, code="KH0001", review_status=ReviewStatus.APPROVED)


@pytest.fixture
def product(db):
    return make(Product, code="CP0001", name="变频器", specification="7.5kW", unit="台", price="2680", currency="CNY")


@pytest.fixture
def order(customer, product):
    """Two lines at 100 and 50: 250 in all."""
    made = make(Order, number="DD1", customer=customer, total_amount=0)
    make(OrderItem, order=made, product=product, name="甲", quantity=2, unit_price=100)
    make(OrderItem, order=made, product=product, name="乙", quantity=1, unit_price=50)
    return fresh(made)


def fresh(obj):
    return type(obj)._base_manager.get(pk=obj.pk)


def workbook(sheets, name="单据.xlsx"):
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    file = io.BytesIO()
    book.save(file)
    file.seek(0)
    file.name = name
    return file


def work():
    for job in Job.objects.filter(state=Job.State.QUEUED):
        jobs.execute(job.pk)
        job.refresh_from_db()
        assert job.state == Job.State.DONE, job.error or job.message


class Importer:
    """Somebody's browser on the import pages."""

    def __init__(self, page):
        self.page = page

    def upload(self, file, model=Order):
        answer = self.page.post(f"/{model._meta.label_lower.replace('.', '/')}/import/", {"file": file})
        assert answer.status_code == 302, answer.context["problem"]
        return ImportBatch.objects.filter(heads=None).latest("pk")

    def check(self, file, model=Order, **options):
        batch = self.upload(file, model)
        form = {f"column-{index}": name for index, name in batch.mapping.items()} | options
        if len(batch.parts) > 1:
            form |= {f"line-{index}": name for index, name in batch.lines.mapping.items()}
        answer = self.page.post(f"/crm/importbatch/{batch.pk}/map/", form)
        assert answer.status_code == 302, [str(word) for word in answer.context["messages"]]
        work()
        return fresh(batch)

    def act(self, batch, step):
        self.page.post(f"/crm/importbatch/{batch.pk}/{step}/")
        work()
        return fresh(batch)

    def take_in(self, file, model=Order, **options):
        return self.act(self.check(file, model, **options), "confirm")

    def shown(self, batch, query=""):
        return self.page.get(f"/crm/importbatch/{batch.pk}/change/{query}").content.decode()


@pytest.fixture
def seller(browse, floor):
    return Importer(browse(floor.seller))


def kinds(batch):
    return [row.get_kind_display() for row in batch.rows.order_by("number")]


def problems(batch):
    return {row.number: "；".join(p["text"] for p in row.problems) for row in batch.rows.exclude(problems=[])}


def outcomes(batch):
    return [row.get_outcome_display() for row in batch.rows.order_by("number")]


def exported(user, model, path, **options):
    resource = resource_for(model._meta.label)
    export.write(path, resource, user, model._base_manager.all(), **options)
    return path


def rows_of(path, sheet):
    titles, *rows = openpyxl.load_workbook(path)[sheet].iter_rows(values_only=True)
    return [dict(zip(titles, row, strict=True)) for row in rows]


def sheets(heads, lines, line_titles=LINES):
    return workbook({"数据": [HEADS, *heads], "订单明细": [line_titles, *lines]})


# --- Out -------------------------------------------------------------------------------------------------------------


def test_the_second_sheet_names_head_place_and_product(floor, order, tmp_path):
    lines = rows_of(exported(floor.seller, Order, tmp_path / "订单.xlsx"), "订单明细")
    assert [(row["订单编号"], row["行号"], row["产品编号"], row["品名"], row["金额"]) for row in lines] == [
        ("DD1", 1, "CP0001", "甲", 200),
        ("DD1", 2, "CP0001", "乙", 50),
    ]


def test_products_of_opportunities_are_told_by_name_and_amount(floor, customer, product, tmp_path):
    deal = make(Opportunity, owner=floor.seller, customer=customer)
    make(OpportunityItem, opportunity=deal, product=product, quantity=3, unit_price=10)
    (row,) = rows_of(exported(floor.seller, Opportunity, tmp_path / "商机.xlsx"), "商机产品")
    assert (row["商机编号"], row["产品名称"], row["单位"], row["意向金额"]) == (deal.number, "变频器", "台", 30)


@pytest.mark.parametrize("model", FOUR)
def test_nobody_takes_out_lines_of_foreign_heads(floor, model, tmp_path):
    line, sheet = FOUR[model]
    foreign = make(Customer, owner=floor.stranger)
    owned = {"owner": floor.stranger} if hasattr(model, "owner") else {}
    make(line, **{resource_for(line._meta.label)._meta.head: make(model, customer=foreign, **owned)})
    assert not rows_of(exported(floor.seller, model, tmp_path / "空.xlsx"), sheet)
    assert rows_of(exported(floor.stranger, model, tmp_path / "有.xlsx"), sheet)


def test_csv_has_the_heads_only(floor, order, tmp_path):
    text = exported(floor.seller, Order, tmp_path / "订单.csv", kind="csv").read_text("utf-8-sig")
    assert "DD1" in text and "变频器" not in text


def test_the_export_asks_no_query_per_line(floor, order, product, tmp_path, django_assert_max_num_queries):
    for _ in range(30):
        make(OrderItem, order=order, product=product)
    with django_assert_max_num_queries(40):
        exported(floor.seller, Order, tmp_path / "订单.xlsx")


@pytest.mark.parametrize("model", FOUR)
def test_an_exported_workbook_read_back_changes_nothing(browse, model, tmp_path):
    """还包括已签约、已确认的单据：它们没有变化，就不是错误。"""
    line, _ = FOUR[model]
    head = resource_for(line._meta.label)._meta.head
    for state in ("draft", "draft", {Contract: "signed", Order: "confirmed", Quotation: "sent"}.get(model)):
        owner = make(model)
        make(line, **{head: owner}, quantity="1.5", unit_price="99.99")
        make(line, **{head: owner})
        if state and model is not Opportunity:
            model._base_manager.filter(pk=owner.pk).update(status=state)
    boss = make(User, is_superuser=True)
    path = exported(boss, model, tmp_path / "全部.xlsx")
    with path.open("rb") as file:
        batch = Importer(browse(boss)).check(file, model)
    assert set(kinds(batch)) == set(kinds(batch.lines)) == {"无变化"}, problems(batch) | problems(batch.lines)
    assert len(kinds(batch.lines)) == 6


# --- In --------------------------------------------------------------------------------------------------------------


def test_new_heads_come_with_their_lines(seller, floor, customer, product):
    """品名、规格、单位、同币种的价格取自产品；金额和合计由系统算；行号留空按文件里的先后。"""
    file = sheets(
        [["DD7", "KH0001", "CNY", None], ["DD8", "KH0001", "CNY", None]],
        [
            ["dd7", None, "CP0001", None, "2", None, "50"],
            ["DD8", 1, None, "安装", "1", "300", None],
            ["DD7", None, "CP0001", "自定", "1", "0.005", None],
        ],
    )
    batch = seller.check(file)
    assert kinds(batch) == ["新增"] * 2 and kinds(batch.lines) == ["新增"] * 3, problems(batch.lines)
    assert "2680" in seller.shown(batch, "?sheet=lines")
    seller.act(batch, "confirm")
    made = Order.objects.get(number="DD7")
    one, two = made.items.order_by("pk")
    assert (one.name, one.specification, one.unit, one.unit_price, one.amount) == (
        "变频器",
        "7.5kW",
        "台",
        2680,
        2680,
    )
    assert (two.name, two.amount, made.total_amount) == ("自定", Decimal("0.01"), Decimal("2680.01"))
    assert Order.objects.get(number="DD8").total_amount == 300
    log = BusinessLog.objects.get(object_id=one.pk, content_type__model="orderitem", operation=Operation.CREATE)
    assert log.business_no == "DD7" and log.user == floor.seller and log.changes["amount"] == [None, "2680"]


def test_lines_are_matched_by_their_place_and_the_total_follows(seller, order):
    batch = seller.take_in(
        sheets(
            [["DD1", "KH0001", "CNY", "加急"]],
            [["DD1", 2, None, None, "3", None, None], ["DD1", 3, None, "丙", 1, 7, 100]],
        )
    )
    assert kinds(batch) == ["更新"] and kinds(batch.lines) == ["更新", "新增"]
    assert [(item.name, item.amount) for item in order.items.order_by("pk")] == [("甲", 200), ("乙", 150), ("丙", 7)]
    assert (fresh(order).total_amount, fresh(order).remark) == (357, "加急")
    changed = BusinessLog.objects.get(content_type__model="orderitem", operation=Operation.UPDATE)
    assert changed.changes == {"quantity": ["1", "3"], "amount": ["50", "150"]}


def test_lines_alone_go_to_stored_heads(seller, order):
    """表头表可以是空的：明细按编号归到系统里已有的、还能改的订单。"""
    batch = seller.take_in(sheets([], [["DD1", 1, None, None, "1", None, None]]))
    assert kinds(batch) == [] and outcomes(batch.lines) == ["已导入"]
    assert fresh(order).total_amount == 150


def test_a_mistake_in_one_line_stops_its_head_and_no_other(seller, customer, product):
    file = sheets(
        [["DD7", "KH0001", "CNY", None], ["DD8", "KH0001", "CNY", None], ["DD9", "没有", "CNY", None]],
        [
            ["DD7", 1, "CP0001", None, "很多", None, None],
            ["DD7", 2, "CP0001", None, "1", None, None],
            ["DD8", 1, "CP0001", None, "1", None, None],
            ["DD9", 1, "CP0001", None, "1", None, None],
        ],
    )
    batch = seller.check(file)
    assert kinds(batch) == ["冲突", "新增", "错误"]
    assert kinds(batch.lines) == ["错误", "冲突", "新增", "冲突"]
    assert "“订单明细”" in problems(batch)[2] and "“数据”表里有问题" in problems(batch.lines)[5]
    shown = seller.shown(batch, "?sheet=lines")
    assert "订单明细!E2</code>" in shown and "“很多”不是数字" in shown
    seller.act(batch, "confirm")
    assert [order.number for order in Order.objects.all()] == ["DD8"]
    answer = seller.page.get(f"/crm/importbatch/{batch.pk}/errors/")
    book = openpyxl.load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    assert [sheet.max_row for sheet in book] == [3, 4] and book.sheetnames == ["错误行", "订单明细"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["DD404", 1, None, "甲", 1, 1, None], "都没有您能看到的这个订单"),
        (["DD1", 4, None, "甲", 1, 1, None], "跳号了，下一行是 3"),
        (["DD1", None, None, "甲", 1, 1, None], "已有 2 行"),
        (["DD1", 3, None, None, 1, 1, None], "和品名请至少填写一个"),
        (["DD1", 3, None, "甲", 1, None, None], "单价不能为空"),
        (["DD1", 3, "没有", "甲", 1, 1, None], "没有“没有”这一项"),
        (["DD1", 3, None, "甲", -1, 1, None], "数量"),
        (["DD1", 3, None, "甲", "99999999999999", "99999999999999", None], "金额太大"),
    ],
)
def test_what_is_wrong_with_a_line_is_said_of_its_cell(seller, order, line, words):
    batch = seller.check(sheets([], [line]))
    assert words in problems(batch.lines)[2]
    assert not ImportRow.objects.filter(batch=batch.lines, kind__in=[1, 2]).exists()


def test_lines_of_foreign_and_of_confirmed_orders_are_left_alone(seller, floor, order, product):
    foreign = make(Order, number="DD2", customer=make(Customer, owner=floor.stranger))
    Order._base_manager.filter(pk=order.pk).update(status=OrderStatus.CONFIRMED)
    batch = seller.check(sheets([], [["DD2", 1, None, "甲", 1, 1, None], ["DD1", 1, None, None, "9", None, None]]))
    assert "您能看到的" in problems(batch.lines)[2] and "已不是草稿" in problems(batch.lines)[3]
    assert not foreign.items.exists()


def test_a_contract_under_review_is_changed_by_no_file(browse, floor, customer, tmp_path):
    contract = make(Contract, number="HT1", customer=customer, owner=floor.seller, total_amount=0)
    make(ContractItem, contract=contract, quantity=1, unit_price=10)
    about = ContentType.objects.get_for_model(Contract)
    make(ApprovalRequest, kind=REVIEW, target_type=about, target_id=contract.pk, state="pending")
    titles = ["合同编号", "行号", "数量"]
    file = workbook(
        {"数据": [["合同编号", "合同名称", "客户代码"], ["HT1", "改名", "KH0001"]], "合同明细": [titles, ["HT1", 1, 5]]}
    )
    batch = Importer(browse(floor.seller)).take_in(file, Contract)
    assert "正在审核" in problems(batch)[2] and "正在审核" in problems(batch.lines)[2]
    assert fresh(contract).total_amount == 10


def test_whoever_was_faster_stops_the_head_with_all_its_lines(seller, order):
    """检查之后别人改了一行，同一订单的表头和其他行也不写入。"""
    batch = seller.check(
        sheets(
            [["DD1", "KH0001", "CNY", "加急"]],
            [["DD1", 1, None, None, "9", None, None], ["DD1", 2, None, None, "9", None, None]],
        )
    )
    item = order.items.order_by("pk").first()
    item.quantity = 5
    item.save()
    batch = seller.act(batch, "confirm")
    assert outcomes(batch) == ["未导入"] and outcomes(batch.lines) == ["未导入"] * 2
    assert (fresh(order).total_amount, fresh(order).remark) == (550, "")
    assert seller.act(batch, "undo").counts["undone"] == 0


def test_a_csv_brings_heads_only_and_says_so(seller, customer):
    file = io.BytesIO("订单编号,客户代码\nDD7,KH0001\n".encode())
    file.name = "订单.csv"
    batch = seller.upload(file)
    assert len(batch.parts) == 1
    assert "不含明细" in seller.page.get(f"/crm/importbatch/{batch.pk}/map/").content.decode()
    assert "csv 没有工作表" in seller.page.get("/sales/order/import/").content.decode()


def test_lines_may_be_left_out_and_taken_from_another_sheet(seller, order):
    batch = seller.upload(sheets([["DD1", "KH0001", "CNY", "加急"]], [["DD1", 1, None, None, "9", None, None]]))
    page = f"/crm/importbatch/{batch.pk}/map/"
    assert "匹配列：订单明细" in seller.page.get(page).content.decode()
    assert "匹配列：订单明细" not in seller.page.post(page, {"reread_lines": "1", "sheet": ""}).content.decode()
    assert len(fresh(batch).parts) == 1
    seller.page.post(page, {"reread_lines": "1", "sheet": "订单明细"})
    assert fresh(batch).lines.sheet == "订单明细"


def test_the_template_has_a_sheet_for_the_lines_with_help_of_its_own(seller):
    answer = seller.page.get("/sales/order/import/template/")
    book = openpyxl.load_workbook(io.BytesIO(b"".join(answer.streaming_content)))
    assert [cell.value for cell in book["订单明细"][1]][:3] == ["订单编号*", "行号", "产品编号"]
    told = [row[0] for row in book["填写说明"].iter_rows(values_only=True)]
    assert "工作表“订单明细”" in told and told.index("行号") > told.index("工作表“订单明细”")


def test_our_company_signs_by_name(browse, floor, customer, tmp_path):
    make(Company, name="深圳客源贸易有限公司", short_name="深圳客源")
    make(Company, name="香港客源有限公司", short_name="香港客源")
    titles = ["合同编号", "合同名称", "客户代码", "我方签约公司"]
    rows = [["HT1", "甲", "KH0001", "香港客源"], ["HT2", "乙", "KH0001", "没有的公司"]]
    batch = Importer(browse(floor.seller)).take_in(workbook({"数据": [titles, *rows]}), Contract)
    assert "没有“没有的公司”这一项" in problems(batch)[3]
    assert Contract.objects.get().company.name == "香港客源有限公司"
    (row,) = rows_of(exported(floor.seller, Contract, tmp_path / "合同.xlsx"), "数据")
    assert row["我方签约公司"] == "香港客源有限公司"


# --- And back --------------------------------------------------------------------------------------------------------


def test_undoing_restores_heads_lines_and_totals(seller, order, customer):
    batch = seller.take_in(
        sheets(
            [["DD1", "KH0001", "CNY", "加急"], ["DD7", "KH0001", "CNY", None]],
            [
                ["DD1", 1, None, "改名", "9", "1", "50"],
                ["DD1", 3, None, "新行", "1", "7", None],
                ["DD7", 1, None, "甲", "1", "7", None],
            ],
        )
    )
    assert fresh(order).total_amount == Decimal("61.50")
    batch = seller.act(batch, "undo")
    assert (batch.counts["kept"], batch.counts["undone"]) == ([], 5)
    assert [(i.name, i.quantity, i.amount) for i in order.items.order_by("pk")] == [("甲", 2, 200), ("乙", 1, 50)]
    assert (fresh(order).total_amount, fresh(order).remark) == (250, "")
    assert not Order._base_manager.filter(number="DD7").exists()


def test_undoing_lines_alone_restores_the_total(seller, order):
    batch = seller.take_in(sheets([], [["DD1", 1, None, None, "9", None, None]]))
    assert fresh(order).total_amount == 950
    seller.act(batch, "undo")
    assert fresh(order).total_amount == 250 and order.items.order_by("pk").first().quantity == 2


def test_a_head_whose_line_was_touched_since_is_left_whole(seller, customer):
    batch = seller.take_in(
        sheets(
            [["DD7", "KH0001", "CNY", None], ["DD8", "KH0001", "CNY", None]],
            [
                ["DD7", 1, None, "甲", "1", "7", None],
                ["DD7", 2, None, "乙", "1", "7", None],
                ["DD8", 1, None, "丙", "1", "7", None],
            ],
        )
    )
    touched = OrderItem.objects.get(name="甲")
    touched.quantity = 2
    touched.save()
    batch = seller.act(batch, "undo")
    assert sorted(batch.counts["kept"]) == ["DD7", "DD7 乙", "DD7 甲"]
    assert Order.objects.get(number="DD7").total_amount == 21
    assert not Order._base_manager.filter(number="DD8").exists()


def test_what_was_undone_can_be_brought_in_again(seller, order, customer):
    content = [["DD7", "KH0001", "CNY", None]], [["DD7", 1, None, "甲", "1", "7", None]]
    seller.act(seller.take_in(sheets(*content)), "undo")
    batch = seller.take_in(sheets(*content))
    assert outcomes(batch) == outcomes(batch.lines) == ["已导入"]
    assert kinds(seller.check(sheets(*content)).lines) == ["无变化"]


@pytest.mark.parametrize("model", FOUR)
def test_each_kind_goes_in_with_lines_and_out_again(browse, floor, customer, product, model):
    """四种单据都能带明细导入、撤销，日志里有产品的名字。"""
    line, sheet = FOUR[model]
    resource = resource_for(model._meta.label)
    number = resource.fields["number"].column_name
    price = "意向单价" if model is Opportunity else "单价"
    heads = {number: "XX1", "客户代码": "KH0001", "合同名称": "甲", "商机名称": "甲", "预估金额": 1, "阶段": "需求分析"}
    heads = {
        title: value for title, value in heads.items() if title in {f.column_name for f in resource.fields.values()}
    }
    file = workbook(
        {
            "数据": [list(heads), list(heads.values())],
            sheet: [[number, "行号", "产品编号", price], ["XX1", 1, "CP0001", 12]],
        }
    )
    importer = Importer(browse(floor.seller))
    batch = importer.take_in(file, model)
    assert outcomes(batch) == outcomes(batch.lines) == ["已导入"], problems(batch) | problems(batch.lines)
    made = line.objects.get()
    assert (made.product, made.unit_price) == (product, 12)
    assert "变频器" in BusinessLog.objects.get(content_type__model=line._meta.model_name).object_repr
    assert getattr(made.head if model is not Opportunity else made, "total_amount", 12) == 12
    importer.act(batch, "undo")
    assert not model._base_manager.exists() and not line._base_manager.exists()
