"""One old database in all the ways in which tools and people write it down: what is loaded is the same."""

import gzip
import tracemalloc
from dataclasses import dataclass

import pytest
from django.db import transaction

from crm import jobs
from crm.legacy import dumps, fieldmap, moves, sources
from crm.legacy.staging import Staging
from crm.models import LegacyLoad, LegacyRecord, User
from customers.models import BankAccount, Contact, Customer
from sales.models import Lead, Order, OrderItem, PaymentRecord
from tests.crm import test_legacy
from tests.factories import make
from tests.moving import counts

SHOWN = {
    Customer: ["code", "name", "owner__full_name", "level__code", "registered_capital", "deal_status", "last_deal_at"],
    Contact: ["customer__code", "name", "sex", "mobile"],
    BankAccount: ["customer__code", "bank", "account"],
    Lead: ["name", "phone", "success_probability", "owner__full_name", "status"],
    Order: ["number", "customer__code", "total_amount", "paid_state"],
    OrderItem: ["order__number", "name", "quantity", "amount"],
    PaymentRecord: ["order__number", "amount"],
    LegacyRecord: ["table", "key", "outcome", "row", "notes"],
    User: ["username", "full_name"],
}


@dataclass
class Source:
    """The tables of a dump: ``{name: (columns, rows)}``."""

    tables: dict

    @classmethod
    def read(cls, path):
        tables: dict = {}
        for file in sorted(path.glob("*.sql")) if path.is_dir() else [path]:
            for part in dumps.read(file):
                if isinstance(part, dumps.Definition):
                    tables[part.table] = part.columns, []
                elif isinstance(part, dumps.Rows):
                    names = part.columns or tables[part.table][0]
                    order = [[name.lower() for name in names].index(name.lower()) for name in tables[part.table][0]]
                    tables[part.table][1].extend([row[place] for place in order] for row in part.rows)
        return cls(tables)

    def written(self, style) -> bytes:
        script = style.before
        for name, (columns, rows) in self.tables.items():
            order = list(range(len(columns)))
            if style.reverses:
                order.reverse()
            names = [style.column(columns[place]) for place in order]
            script += style.table.format(
                name=name.upper() if style.upper else name,
                columns=f",{style.end}".join(
                    f"  {style.quote}{each}{style.quote} varchar(500) COMMENT '列,(；'" for each in names
                ),
            )
            cells = [[style.cell(row[place]) for place in order] for row in rows]
            shuffled = list(reversed(range(len(names)))) if style.names_columns else range(len(names))
            listed = f" ({', '.join(f'`{names[n]}`' for n in shuffled)})" if style.names_columns else ""
            texts = [f"({style.comma.join(row[n] for n in shuffled)})" for row in cells]
            for start in range(0, len(texts), style.many):
                values = style.between.join(texts[start : start + style.many])
                script += style.insert.format(name=name, columns=listed, values=values)
        script = (script + style.after).replace("\n", style.end)
        raw = script.encode(style.encoding)
        return gzip.compress(raw) if style.packed else raw


def plain(value):
    """A literal as Navicat writes it."""
    if value is None:
        return "NULL"
    escaped = value.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n").replace("\r", "\\r")
    return f"'{escaped}'"


def bare(value):
    """Numbers without quotes, texts with escaped ones."""
    if value is None or (value.isdigit() and value == str(int(value))):
        return value or "null"
    escaped = value.replace("\\", "\\\\").replace("'", "\\'").replace('"', '\\"').replace("\r", "\\r")
    return f"'{escaped}'"


def hexed(value):
    return "NULL" if value is None else f"0x{value.encode().hex()}" if value else "''"


def double(value):
    return "NULL" if value is None else '"' + value.replace("\\", "\\\\").replace('"', '""').replace("\r", "\\r") + '"'


def mixed(value):
    """Introducers, bits, and texts that go on in a second literal."""
    if value in ("0", "1"):
        return f"b'{value}'"
    if value is None or len(value) < 4:
        return plain(value) if value is None else f"_utf8mb4{plain(value)}"
    return f"_binary {plain(value[:2])} {plain(value[2:])}"


def camel(name):
    head, *tail = name.split("_")
    return head + "".join(word.capitalize() for word in tail)


TRIGGERS = """
CREATE ALGORITHM=UNDEFINED VIEW `v_customer` AS select `id` from `t_customer`;
DELIMITER ;;
CREATE TRIGGER `log_it` AFTER INSERT ON `t_customer` FOR EACH ROW BEGIN
  INSERT INTO t_customer VALUES (NEW.id, 'x');
  DELETE FROM t_user;
END ;;
DELIMITER ;
DELIMITER $$
CREATE PROCEDURE `fill`() BEGIN INSERT INTO `t_user` VALUES (1); END $$
delimiter ;
"""


@dataclass
class Style:
    name: str
    cell: object = plain
    column: object = str
    many: int = 1
    end: str = "\n"
    encoding: str = "utf-8"
    packed: bool = False
    reverses: bool = False
    names_columns: bool = False
    upper: bool = False
    quote: str = "`"
    comma: str = ", "
    between: str = ", "
    before: str = ""
    after: str = ""
    table: str = "DROP TABLE IF EXISTS `{name}`;\nCREATE TABLE `{name}` (\n{columns},\n  PRIMARY KEY (`id`)\n);\n"
    insert: str = "INSERT INTO `{name}`{columns} VALUES {values};\n"


STYLES = [
    Style("mysqldump", cell=bare, many=1000, comma=",", between=",", packed=True),
    Style("columns in another order", reverses=True, names_columns=True, many=3),
    Style("CRLF, comments and a trigger", end="\r\n", many=7, comma=" /* 值, ) */ , -- 列\n", after=TRIGGERS,
          before="CREATE DATABASE IF NOT EXISTS `crm`; USE `crm`;\n# 说明 '\n"),
    Style("GBK", encoding="gbk"),
    Style("UTF-16 as PowerShell writes it", encoding="utf-16"),
    Style("UTF-8 with a mark", encoding="utf-8-sig", many=50),
    Style("hexadecimal", cell=hexed, many=2),
    Style("double quotes", cell=double, many=2, quote='"'),
    Style("introducers and bits", cell=mixed),
    Style("database before the name", names_columns=True,
          table="CREATE TABLE IF NOT EXISTS `crm`.`{name}` (\n{columns},\n  KEY `k` (`id`) USING BTREE\n);\n",
          insert="INSERT IGNORE INTO `crm`.`{name}`{columns} VALUES {values} ON DUPLICATE KEY UPDATE id=f(1);\n"),
    Style("tables in capitals, REPLACE", upper=True, insert="REPLACE `{name}`{columns} VALUE {values};\n"),
    Style("columns in camelCase", column=camel),
    Style("rows of MySQL 8", insert="INSERT INTO `{name}`{columns} VALUES ROW{values};\n"),
]  # fmt: skip


def ordered(value):
    """Old values and notes in an order that does not follow that of the columns."""
    return sorted(value.items()) if isinstance(value, dict) else sorted(value) if isinstance(value, list) else value


def snapshot(move, path):
    """What a load leaves behind; the database is as it was afterwards."""
    with transaction.atomic():
        known = set(User.objects.values_list("pk", flat=True))
        found = move("java-crm", path)
        rows = {
            model.__name__: sorted(
                repr([ordered(value) for value in values])
                for values in (model.objects.exclude(pk__in=known) if model is User else model.objects).values_list(
                    *fields
                )
            )
            for model, fields in SHOWN.items()
        }
        transaction.set_rollback(True)
    tables = {table["table"].lower(): {**table, "table": "", "reasons": []} for table in found["tables"]}
    return rows | {"tables": tables, "sums": [each["now"] for each in found["sums"]]}


@pytest.fixture(params=["our own", *(path.name for path in sorted(test_legacy.REAL.glob("*")))])
def source(request, tmp_path):
    """A dump of our own, and those that nobody here made."""
    if request.param != "our own":
        return test_legacy.REAL / request.param
    path = tmp_path / "own.sql"
    path.write_text(test_legacy.DUMP.replace("UPDATE t_customer SET state = 1;", ""), encoding="utf-8")
    return path


def test_however_it_is_written_it_loads_to_the_same(source, move, tmp_path):
    read = Source.read(source)
    assert sum(len(rows) for _, rows in read.tables.values()) > 10
    whole = snapshot(move, source)
    for style in STYLES:
        path = tmp_path / "spelt.sql"
        path.write_bytes(read.written(style))
        spelt = snapshot(move, path)
        for what in whole:
            assert spelt[what] == whole[what], (style.name, what)


def staged(text, tmp_path) -> tuple[list, list]:
    """The rows of ``t_role``, by column, and the notes."""
    (tmp_path / "dump.sql").write_text(text, encoding="utf-8")
    with Staging(str(tmp_path / "s.db")) as staging:
        sources.fill(staging, tmp_path / "dump.sql")
        return [row for _, row in staging.chunk("t_role", 0, 10)], staging.notes()


def test_columns_that_were_added_later_stand_where_they_were_put(tmp_path):
    text = (
        "CREATE TABLE t_role (id int, role_name text); INSERT INTO t_role VALUES (1, '甲');"
        "ALTER TABLE `t_role` ADD COLUMN `is_valid` int DEFAULT '1' COMMENT 'a,(b' AFTER `id`, ADD KEY `k` (`id`),"
        " ADD role_remarker text, ADD INDEX `i` (`is_valid`), ADD COLUMN code varchar(9) FIRST;"
        "INSERT INTO t_role VALUES ('C', 2, 0, '乙', '备注');"
    )
    rows, _ = staged(text, tmp_path)
    assert rows == [
        {"id": "1", "role_name": "甲", "is_valid": None, "role_remarker": None, "code": None},
        {"id": "2", "role_name": "乙", "is_valid": "0", "role_remarker": "备注", "code": "C"},
    ]


def test_comments_without_a_blank_and_columns_that_no_table_defines(tmp_path):
    text = (
        "--角色\nCREATE TABLE t_role (id int);\n--说明 '\nINSERT INTO t_role (id) VALUES (1);"
        "INSERT INTO t_role (role_name, id) VALUES ('乙', 2);"
    )
    rows, _ = staged(text, tmp_path)
    assert [(row["id"], row["role_name"]) for row in rows] == [("1", None), ("2", "乙")]


def test_rows_without_any_table_have_the_columns_of_the_document_if_there_are_as_many(tmp_path):
    rows, notes = staged("INSERT INTO `t_role` VALUES (1,'销售','卖','2020-01-01',NULL,1);", tmp_path)
    assert (rows[0]["role_name"], rows[0]["is_valid"]) == ("销售", "1") and "没有建表语句" in notes[0]
    with pytest.raises(sources.SourceError, match="没有建表语句"):
        staged("INSERT INTO `t_other` VALUES (1,'销售');", tmp_path)


def test_an_insert_that_sets_columns_is_a_row(tmp_path):
    text = (
        "CREATE TABLE t_role (id int, role_name text, is_valid int);"
        "INSERT IGNORE INTO `crm`.`t_role` SET `id` = 1, role_name='甲,(''=\\'', is_valid = b'1';"
        "REPLACE t_role SET role_name=_utf8'乙', id=2;"
    )
    rows, notes = staged(text, tmp_path)
    assert rows == [
        {"id": "1", "role_name": "甲,('='", "is_valid": "1"},
        {"id": "2", "role_name": "乙", "is_valid": None},
    ]
    assert not notes


def test_tables_that_are_emptied_before_they_are_filled_again_hold_the_last_rows(tmp_path):
    text = (
        "CREATE TABLE t_role (id int); INSERT INTO t_role VALUES (1); DELETE FROM `crm`.`t_role`;"
        "INSERT INTO t_role VALUES (2); TRUNCATE TABLE t_role; TRUNCATE t_other; INSERT INTO t_role VALUES (3);"
        "DELETE FROM t_role WHERE id = 3;"
    )
    rows, notes = staged(text, tmp_path)
    assert rows == [{"id": "3"}] and notes == ["未执行的语句：DELETE FROM t_role WHERE id = 3"]


def test_of_a_table_in_two_databases_of_one_file_the_first_is_read_and_the_second_told(tmp_path):
    text = (
        "CREATE TABLE t_log (id int); USE `crm`; CREATE TABLE t_role (id int); INSERT INTO t_role VALUES (1);"
        "INSERT INTO t_log VALUES (7); use old;"
        "DROP TABLE IF EXISTS t_role; CREATE TABLE t_role (id int); INSERT INTO t_role VALUES (2);"
        "USE crm; INSERT INTO t_role VALUES (3);"
    )
    rows, notes = staged(text, tmp_path)
    assert [row["id"] for row in rows] == ["1", "3"]
    assert notes == ["文件里有两个数据库都有表 t_role：读了 crm 的，没有读 old 的"]


def test_a_value_that_is_converted_is_what_it_is_converted_from(tmp_path):
    text = (
        "CREATE TABLE t_role (id int, role_name text, create_date date, is_valid int);"
        "INSERT INTO t_role VALUES (1, CONVERT(N'甲' USING utf8), CAST('2016-02-01' AS Date), 1), (2, '乙', NOW(), 1);"
    )
    rows, _ = staged(text, tmp_path)
    assert [tuple(row.values()) for row in rows] == [("1", "甲", "2016-02-01", "1"), ("2", "乙", None, "1")]


@pytest.mark.parametrize(("encoding", "second"), [("utf-8", "乙"), ("gbk", "許功誠")])
def test_a_picture_among_the_rows_does_not_change_how_texts_are_read(encoding, second, tmp_path):
    path = tmp_path / "dump.sql"
    path.write_bytes(
        f"INSERT INTO t VALUES (1,'客户甲'),(2,'{second}');".encode(encoding)
        + b"INSERT INTO pictures VALUES (1,_binary '\xff\xd8\xff\xe0\\0\x10JFIF');"
    )
    first, _ = (part.rows for part in dumps.read(path))
    assert first == [["1", "客户甲"], ["2", second]]


def test_a_file_without_texts_is_looked_through_in_little_memory(tmp_path):
    path = tmp_path / "noise.sql"
    path.write_bytes(b"\xff" * (16 * dumps.BLOCK))
    tracemalloc.start()
    try:
        dumps.encoding_of(path)
        assert tracemalloc.get_traced_memory()[1] < 8 * dumps.BLOCK
    finally:
        tracemalloc.stop()


# --- What is none of the five ----------------------------------------------------------------------------------------

FOREIGN = test_legacy.REAL.parent


def tried(path, tmp_path, system="") -> LegacyLoad:
    copy = tmp_path / "copy.sql"
    copy.write_bytes(path.read_bytes())
    load = moves.begin(copy, by=make(User, is_superuser=True), system=system)
    jobs.execute(load.job_id)
    load.refresh_from_db()
    return load


@pytest.mark.skipif(not FOREIGN.exists(), reason="公开的旧系统转储 ../shared/data 不在")
@pytest.mark.parametrize(
    "name",
    [
        "legacy_cst_crm/ChinaArJun__Online-CRM.sql",
        "legacy_tbl_crm/CornSixLove__lfy-crm.sql",
        "legacy_mikesad/crm_full.sql",
        "legacy_mikesad/dev-test-data.sql",
        "legacy_mysql_misc/Chinook_MySql.sql",
        "legacy_mysql_misc/northwind.sql",
        "legacy_jsherp/customer_template.xls",
    ],
)
def test_what_is_none_of_the_systems_is_refused_by_name(db, tmp_path, name):
    load = tried(FOREIGN / name, tmp_path)
    assert load.state == LegacyLoad.State.FAILED and not LegacyRecord.objects.exists()
    words = ["不是 MySQL 转储文件"] if name.endswith("xls") else ["找到的表：", "应当有的表：", "t_customer"]
    assert all(word in load.message for word in words), load.message
    assert name.endswith("xls") or load.message.endswith("用各页面的“导入”。")


def test_a_namesake_with_other_columns_is_told_what_is_strange(db, tmp_path):
    path = tmp_path / "other.sql"
    path.write_text(
        "CREATE TABLE customer (cust_id int, cust_name text, cust_phone text);"
        "INSERT INTO customer VALUES (1, '甲', '123');",
        encoding="utf-8",
    )
    load = tried(path, tmp_path, system="dms-customer")
    assert load.state == LegacyLoad.State.FAILED
    assert "不是DMS 客户管理的" in load.message and "只认得 0 列，不认得 cust_id、cust_name、cust_phone" in load.message


ENGLISH = """
CREATE TABLE t_customer (id int, customer_id text, name text, area text, cus_manager text, level text,
  satisfaction text, reputation text, business_license text, legal_person text, registered_capital text,
  turnover text, bank text, account_number text, local_tax_num text, national_tax_num text, gmt_create datetime);
INSERT INTO t_customer VALUES (1,'K1','甲公司','北京','小张','大客户','☆☆☆','☆','L1','法人甲','1,000','5万','工行',
  '622','D1','G1','2020-01-02 03:04:05');
CREATE TABLE t_customer_link_man (id int, cus_id int, linkman_name text, position text, mobile text);
INSERT INTO t_customer_link_man VALUES (1,1,'王五','经理','13900000009');
CREATE TABLE t_customer_loss (id int, cus_no text, state int, loss_reason text, create_date datetime);
INSERT INTO t_customer_loss VALUES (1,'K1',0,'价格','2021-02-03 00:00:00');
CREATE TABLE t_customer_order (id int, colour text, shape text, weight text);
INSERT INTO t_customer_order VALUES (1,'红','圆','重');
"""


def test_columns_with_english_names_are_the_same_columns_and_their_money_is_reconciled(move):
    found = move("java-crm", ENGLISH)
    customer = Customer.objects.get()
    assert (customer.code, customer.satisfaction, customer.legal_representative) == ("K1", 3, "法人甲")
    assert (customer.licence_no, customer.local_tax_no, customer.national_tax_no) == ("L1", "D1", "G1")
    assert BankAccount.objects.get().account == "622"
    assert Contact.objects.get().customer == customer
    assert counts(found)["t_customer_loss"] == {"created": 1}
    sums = {each["column"]: (each["then"], each["now"]) for each in found["sums"] if each["table"] == "t_customer"}
    assert sums == {"zczj": ("1000.00", "1000.00"), "nyye": ("50000.00", "50000.00")}


def test_a_table_that_only_shares_its_name_is_told_and_not_called_missing(move):
    found = move("java-crm", ENGLISH, write=False)
    (strange,) = found["unknown"]
    assert strange["table"] == "t_customer_order" and "4 列里只认得 1 列，不认得 colour、shape" in strange["why"]
    assert "t_customer_order" not in found["absent"] and "t_user" in found["absent"]


def test_every_system_is_recognised_by_its_own_tables(db, tmp_path):
    for system in fieldmap.systems():
        columns = {name: fieldmap.columns(system, name).values() for name in fieldmap.tables(system)}
        script = "".join(
            f"CREATE TABLE {name} ({', '.join(column.column.strip('()') + ' text' for column in each)});\n"
            for name, each in columns.items()
        )
        path = tmp_path / f"{system}.sql"
        path.write_text(script, encoding="utf-8")
        assert tried(path, tmp_path).system == system
