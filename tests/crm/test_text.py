"""What people mean by the same name, code or telephone number."""

import pytest

from crm import text


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("Ａｂ 01", "ab01"),
        ("  深圳 市\t甲公司 ", "深圳市甲公司"),
        ("甲公司\u200b\ufeff", "甲公司"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("㈱甲", "(株)甲"),
        ("𠮷野家", "𠮷野家"),
        ("", ""),
        (None, ""),
        (123, "123"),
    ],
)
def test_names_are_compared_without_width_case_and_blanks(typed, key):
    assert text.fold(typed) == key


def test_rare_characters_and_emoji_are_not_the_same():
    assert len({text.fold(name) for name in ("𠮷田", "𡈽田", "吉田", "😀", "😁")}) == 5


@pytest.mark.parametrize(
    "typed",
    [
        "13800138000",
        "138 0013 8000",
        "138-0013-8000",
        "+86 138-0013-8000",
        "１３８００１３８０００",
        "0086 13800138000",
    ],
)
def test_one_mobile_is_one_key_however_it_is_written(typed):
    assert text.phone_key(typed) == "+8613800138000"


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("0755-86001234", "+8675586001234"),
        ("(0755) 8600 1234", "+8675586001234"),
        ("0755-86001234 转 801", "+8675586001234x801"),
        ("+1 650-253-0000", "+16502530000"),
        ("", ""),
        (None, ""),
    ],
)
def test_landlines_extensions_and_foreign_numbers_keep_their_meaning(typed, key):
    assert text.phone_key(typed) == key


def test_a_number_nobody_can_place_is_its_digits():
    assert text.phone_key("12-34") == "1234"


@pytest.mark.parametrize("typed", ["13800138000", "0755-86001234转801", "+86 138 0013 8000", "400-800-8888", "12345"])
def test_what_a_telephone_number_looks_like(typed):
    assert text.is_phone(typed)


@pytest.mark.parametrize("typed", ["", "1234", "138001380001380013800", "张三", "13800138000 张三", "a@b.cn", "----"])
def test_and_what_it_does_not(typed):
    assert not text.is_phone(typed)


@pytest.mark.parametrize(
    ("typed", "masked"), [("13800138000", "138****8000"), ("86001234", "860****4"), ("1234", "1234"), ("", "")]
)
def test_a_masked_number_can_be_recognised_and_not_called(typed, masked):
    assert text.mask_phone(typed) == masked


def test_what_nobody_sees_is_not_kept():
    assert text.clean_text("\ufeff 甲\x00公司\u200b ") == "甲公司"
