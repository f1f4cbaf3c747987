"""Any number of customers with contacts, owners, row grants and search entries, written set-wise; the same every time.

``grow(total)`` brings the installation to ``total`` customers, so that one database serves several sizes in turn.
"""

import random
import sys
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache

from benchmarks import _common

SELLERS = 200
OWN = 5000  # customers of the seller whose lists are measured
CHUNK = 5000
PATTERN = 100_000
BEGINNING = datetime(2025, 1, 1, tzinfo=UTC)


def grow(total):
    """Add customers until there are ``total``; the people come with the first. History and log stay empty.

    Beyond ``PATTERN``, MySQL copies those there are, with codes and telephone numbers of their own.
    """
    from django.db import connection, transaction

    from crm import search
    from customers.models import Contact, Customer

    owners = _owners()
    start = Customer.objects.count()
    if connection.vendor == "mysql" and total > PATTERN:
        grow(PATTERN)
        for first in range(max(start, PATTERN), total, PATTERN):
            _copy(first, min(PATTERN, total - first), owners)
        return
    for first in range(start, total, CHUNK):
        numbers = range(first, min(first + CHUNK, total))
        with transaction.atomic():
            customers = [_customer(number, owners) for number in numbers]
            _write(Customer, customers)
            _write(Contact, [_contact(row) for row in customers])
            ids = [row["id"] for row in customers]
            _grant(ids[0], ids[-1])
            search.refresh(Customer, ids)
            search.refresh(Contact, ids)
        print(f"\r{numbers[-1] + 1:,} 个客户 ", end="", file=sys.stderr, flush=True)


def _copy(shift, rows, owners):
    """``rows`` more customers after the ``shift`` there are, by the server alone."""
    from django.db import connection, transaction

    from crm.models import SearchEntry
    from crm.search.registry import declaration_of
    from customers.models import Contact, Customer

    some = f"BETWEEN 1 AND {rows}"
    code, old = f"CONCAT('KH', LPAD(t.id + {shift}, 8, '0'))", "LOWER(t.code)"
    mobile = f"CONCAT(LEFT(c.mobile, 3), LPAD((SUBSTR(c.mobile, 4) + {shift} * 7) %% 100000000, 8, '0'))"
    text = f"REPLACE(REPLACE(e.text, {old}, LOWER({code})), c.mobile, {mobile})"
    both = "JOIN customers_contact c ON c.customer_id = t.id"
    licence, owner = f"CONCAT('91', t.id + {shift})", f"IF(t.owner_id = {owners[0]}, {owners[1]}, t.owner_id)"
    customer = {"id": f"t.id + {shift}", "code": code, "code_key": f"LOWER({code})", "owner_id": owner}
    customer |= {"licence_no": licence, "licence_key": licence}
    contact = {"id": f"c.id + {shift}", "mobile": mobile, "mobile_key": f"CONCAT('+86', {mobile})"}
    contact |= dict.fromkeys(("customer_id", "default_of_id"), f"t.id + {shift}")
    copies = [(Customer, "customers_customer t", customer), (Contact, f"customers_customer t {both}", contact)]
    for model in (Customer, Contact):
        base = declaration_of(model).base
        key = f"{base} + {'t' if model is Customer else 'c'}.id"
        joined = f"customers_customer t {both} JOIN crm_searchentry e ON e.id = {key}"
        copies.append((SearchEntry, joined, {"id": f"e.id + {shift}", "text": text, "is_settled": "0"}))
    with transaction.atomic(), connection.cursor() as cursor:
        for model, source, changed in copies:
            columns = [field.column for field in model._meta.concrete_fields]
            alias = {"Customer": "t", "Contact": "c"}.get(model.__name__, "e")
            values = ", ".join(changed.get(column, f"{alias}.{column}") for column in columns)
            target = f"{model._meta.db_table} ({', '.join(columns)})"
            cursor.execute(f"INSERT INTO {target} SELECT {values} FROM {source} WHERE t.id {some}", [])
        _grant(shift + 1, shift + rows)
    print(f"\r{shift + rows:,} 个客户 ", end="", file=sys.stderr, flush=True)


def settle():
    """Have everything written so far in the full-text index."""
    from crm import search

    while search.settle():
        pass
    analyze()


def seller():
    """Who owns ``OWN`` customers, every other of the oldest."""
    return _common.seller()


def _owners() -> list[int]:
    from crm.models import Role, User

    role = Role.objects.get(name="销售")
    own = seller()
    if not User.objects.filter(username="seller0").exists():
        User.objects.bulk_create(
            [User(username=f"seller{n}", full_name=f"销售{n}", is_staff=True) for n in range(SELLERS)]
        )
        sellers = User.objects.filter(username__startswith="seller")
        User.groups.through.objects.bulk_create(
            [User.groups.through(user_id=user.pk, **{_role_column(): role.pk}) for user in sellers]
        )
    return [own.pk, *User.objects.filter(username__startswith="seller").order_by("pk").values_list("pk", flat=True)]


def _role_column():
    from crm.models import User

    return f"{User.groups.field.m2m_reverse_field_name()}_id"


def _customer(number, owners) -> dict:
    from customers.demo import words

    pick = random.Random(number)
    moment = BEGINNING + timedelta(minutes=pick.randrange(365 * 24 * 60))
    city = pick.choice(words.CITIES)
    brand = "".join(char for char, _ in pick.choices(words.BRANDS, k=pick.choice((2, 2, 3, 3, 4))))
    trade = pick.choice(words.INDUSTRIES[pick.choice(list(words.INDUSTRIES))])
    # every other of the oldest belongs to the seller that is measured: the newest first, his come last of all
    own = number < 2 * OWN and number % 2
    return {
        "id": number + 1,
        "code": f"KH{number + 1:08d}",
        "name": f"{city[0]}{brand}{trade}{pick.choice(words.ENDINGS)}",
        "short_name": brand + trade,
        "phone": f"{city[3]}-{pick.randrange(2 * 10**7, 9 * 10**7)}",
        "email": f"info{number}@example.com",
        "address": f"{city[1]}{pick.choice(city[7])}{pick.choice(words.ROADS)}{pick.randrange(1, 999)}号",
        "licence_no": f"91{city[6]}{number:010d}",
        "owner_id": owners[0] if own else owners[1 + number % SELLERS],
        "deal_status": pick.choice(("potential", "potential", "won", "lost")),
        "stage": pick.choice(("lead", "ordinary", "ordinary", "key")),
        "business_types": pick.sample(("ecommerce", "importer", "retailer", "trader", "mailorder"), k=2),
        "is_closed": pick.random() < 0.03,
        "created_at": moment,
        "updated_at": moment + timedelta(minutes=pick.randrange(400_000)),
        **{f"{name}_id": pick.choice(items) for name, items in _dictionary().items()},
    }


@cache
def _dictionary() -> dict[str, list[int]]:
    from crm.models import DictionaryItem

    names = ("level", "industry", "area", "source", "scale")
    items = DictionaryItem.objects.order_by("pk")
    return {name: list(items.filter(type=name).values_list("pk", flat=True)) for name in names}


def _contact(customer) -> dict:
    from crm import text
    from customers.demo import words

    pick = random.Random(-customer["id"])
    mobile = f"1{pick.choice('3589')}{pick.randrange(10**9):09d}"
    return {
        "id": customer["id"],
        "customer_id": customer["id"],
        "name": words.chinese(pick).name,
        "mobile": mobile,
        "mobile_key": text.phone_key(mobile),
        "is_default": True,
        "default_of_id": customer["id"],
    }


def _write(model, rows):
    from crm import bulk

    fields = list(model._meta.concrete_fields)
    defaults = {field.attname: field.get_default() for field in fields}
    bulk.write_rows(model, fields, [defaults | row for row in rows])


def _grant(first, last):
    from django.db import connection

    from crm import ownership
    from customers.models import Customer, CustomerUserObjectPermission

    grants, table = CustomerUserObjectPermission._meta.db_table, Customer._meta.db_table
    with connection.cursor() as cursor:
        for permission in ownership.permission_ids(Customer).values():
            cursor.execute(
                f"INSERT INTO {grants} (user_id, permission_id, content_object_id) "
                f"SELECT owner_id, %s, id FROM {table} WHERE id BETWEEN %s AND %s",
                [permission, first, last],
            )


def insert_from(model, source, values, *, where="1 = 1"):
    """A row of ``model`` for each of ``source``, a table known as ``s``, by one statement of the server.

    ``values`` are SQL by column; what they do not name gets the default of its field.
    """
    from django.db import connection

    columns, parts, given = [], [], []
    for field in model._meta.concrete_fields:
        if field.column in values:
            parts.append(values[field.column])
        elif field.primary_key:
            continue
        else:
            parts.append("%s")
            given.append(field.get_db_prep_save(field.get_default(), connection))
        columns.append(field.column)
    with connection.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {model._meta.db_table} ({', '.join(map(connection.ops.quote_name, columns))})"
            f" SELECT {', '.join(parts)} FROM {source} s WHERE {where}",
            given,
        )


@contextmanager
def indexed_afterwards(*models):
    """MySQL takes the indexes off the tables of ``models`` and builds each in one go when all rows are there."""
    from django.db import connection

    if connection.vendor != "mysql":
        yield
        return
    with connection.cursor() as cursor:
        cursor.execute("SET foreign_key_checks = 0, unique_checks = 0")
        taken = {model._meta.db_table: _indexes(cursor, model._meta.db_table) for model in models}
        for table, found in taken.items():
            cursor.execute(f"ALTER TABLE {table} {', '.join(f'DROP INDEX {name}' for name in found)}")
    yield
    with connection.cursor() as cursor:
        for table, found in taken.items():
            cursor.execute(
                f"ALTER TABLE {table} {', '.join(f'ADD {kind} {name} {on}' for name, (kind, on) in found.items())}"
            )
        cursor.execute("SET foreign_key_checks = 1, unique_checks = 1")


def _indexes(cursor, table) -> dict[str, tuple[str, str]]:
    """``{name: (kind, columns)}`` of the indexes of ``table`` but its primary key."""
    cursor.execute(
        "SELECT index_name, MIN(non_unique), GROUP_CONCAT('`', column_name, '`' ORDER BY seq_in_index)"
        " FROM information_schema.statistics WHERE table_schema = DATABASE() AND table_name = %s"
        " AND index_name <> 'PRIMARY' GROUP BY index_name",
        [table],
    )
    return {f"`{name}`": ("INDEX" if repeats else "UNIQUE INDEX", f"({on})") for name, repeats, on in cursor.fetchall()}


def day(shift, *, since="'2025-01-01'", moment=False) -> str:
    """SQL for the day (or moment) ``shift``, SQL as well, days after ``since``."""
    from django.db import connection

    if connection.vendor == "mysql":
        return f"DATE_ADD({since}, INTERVAL ({shift}) DAY)"
    return f"{'DATETIME' if moment else 'DATE'}({since}, ({shift}) || ' days')"


def word(prefix, number="s.id") -> str:
    """SQL for ``prefix`` with ``number`` behind it."""
    from django.db import connection

    return f"CONCAT('{prefix}', {number})" if connection.vendor == "mysql" else f"'{prefix}' || {number}"


def analyze():
    """Let the database know what it holds."""
    from django.db import connection

    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("ANALYZE")
            return
        tables = [table.name for table in connection.introspection.get_table_list(cursor) if table.type == "t"]
        cursor.execute(f"ANALYZE TABLE {', '.join(tables)}")
