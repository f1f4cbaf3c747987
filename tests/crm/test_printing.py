"""Layouts of users: what they may say, what they can never reach; amounts in capitals."""

from decimal import Decimal

import pytest
from django.conf import settings

from crm import printing
from crm.models import User


def test_values_are_filled_in_and_escaped():
    layout = (
        "{% for line in items %}{{ line.name }}×{{ line.quantity }};{% empty %}无{% endfor %}{{ terms|linebreaksbr }}"
    )
    values = {"items": [{"name": "<b>泵</b>", "quantity": "2"}], "terms": "第一\n<script>"}
    assert printing.fill(layout, values) == "&lt;b&gt;泵&lt;/b&gt;×2;第一<br>&lt;script&gt;"


@pytest.mark.parametrize(
    ("layout", "words"),
    [
        ("{% load i18n %}", "load"),
        ("{% include 'admin/base.html' %}", "include"),
        ("{% extends 'admin/base.html' %}", "extends"),
        ("{% autoescape off %}{{ name }}{% endautoescape %}", "autoescape"),
        ("{% debug %}", "debug"),
        ("{% csrf_token %}", "csrf_token"),
        ("{% url 'admin:index' %}", "url"),
        ("{% filter safe %}{{ name }}{% endfilter %}", "filter"),
        ("{% with a=name %}{{ a }}{% endwith %}", "with"),
        ("{% lorem 999999999 %}", "lorem"),
        ("{{ name|safe }}", "safe"),
        ("{{ name|center:'999999999' }}", "center"),
        ("{{ items|join:name }}", "join"),
        ("{{ name.__class__ }}", "下划线"),
        ("{{ name.format.__globals__ }}", "下划线"),
        ("一\n{% for a in items %}", "第 2 行"),
        (
            "{% for a in items %}{% if a %}{% for b in items %}{% for c in items %}{% endfor %}"
            "{% endfor %}{% endif %}{% endfor %}",
            "最多套",
        ),
    ],
)
def test_what_a_layout_may_not_say(layout, words):
    with pytest.raises(printing.LayoutError, match=words):
        printing.fill(layout, {"name": "甲", "items": []})


@pytest.mark.parametrize(
    "expression",
    [
        "settings.SECRET_KEY",
        "request.user",
        "user",
        "perms",
        "name.settings",
        "items.0.pk",
        "block.super",
        "forloop.parentloop.parentloop",
        "True.real.imag.conjugate.im_func",
    ],
)
def test_there_is_nothing_to_walk_to(expression):
    found = printing.fill("{{ " + expression + " }}", {"name": "甲", "items": [{"name": "乙"}]})
    assert found.strip("{} ") == "" and settings.SECRET_KEY not in found


@pytest.mark.django_db
def test_records_are_never_filled_in():
    with pytest.raises(TypeError, match="plain"):
        printing.fill("{{ user.password }}", {"user": User(username="甲")})
    with pytest.raises(TypeError, match="plain"):
        printing.fill("{{ who.0.password }}", {"who": [User(username="甲")]})


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0", "人民币零元整"),
        ("0.05", "人民币伍分"),
        ("0.50", "人民币伍角整"),
        ("1", "人民币壹元整"),
        ("10", "人民币壹拾元整"),
        ("10.05", "人民币壹拾元零伍分"),
        ("101.10", "人民币壹佰零壹元壹角整"),
        ("1234.56", "人民币壹仟贰佰叁拾肆元伍角陆分"),
        ("10000", "人民币壹万元整"),
        ("10001", "人民币壹万零壹元整"),
        ("100100", "人民币壹拾万零壹佰元整"),
        ("1001000", "人民币壹佰万壹仟元整"),
        ("10000000.01", "人民币壹仟万元零壹分"),
        ("100000001", "人民币壹亿零壹元整"),
        ("123456789012.34", "人民币壹仟贰佰叁拾肆亿伍仟陆佰柒拾捌万玖仟零壹拾贰元叁角肆分"),
        ("1.005", "人民币壹元零壹分"),
        ("-12", "人民币负壹拾贰元整"),
    ],
)
def test_amounts_in_capitals(amount, words):
    assert printing.capitals(Decimal(amount)) == words


def test_capitals_name_the_currency():
    assert printing.capitals(Decimal("300"), "USD") == "美元叁佰元整"
