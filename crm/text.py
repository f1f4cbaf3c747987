"""Normal forms by which people mean the same thing: names, codes and phone numbers."""

import re
import unicodedata
from functools import lru_cache

import phonenumbers

_BLANKS = re.compile(r"\s+")
_INVISIBLE = re.compile(r"[\u200b-\u200f\u202a-\u202e\u2060\ufeff]")


@lru_cache(maxsize=16384)
def fold(value) -> str:
    """Width, case and white space folded: ``Ａｂ 01`` and ``ab01`` are one key. Blank gives an empty string."""
    if value is None:
        return ""
    text = unicodedata.normalize("NFKC", str(value))
    return _BLANKS.sub("", _INVISIBLE.sub("", text)).casefold()


def clean_text(value) -> str:
    """Text as typed, without the characters nobody sees: outer blanks, zero-width marks, NUL."""
    if value is None:
        return ""
    value = str(value)
    return value.strip() if value.isprintable() else _INVISIBLE.sub("", value).replace("\x00", "").strip()


_CHINESE_MOBILE = re.compile(r"1[3-9]\d{9}", re.ASCII)
_CHINESE_LANDLINE = re.compile(r"0(10|2\d|[3-9]\d{2})[- ]?(\d{7,8})", re.ASCII)


@lru_cache(maxsize=8192)
def phone_key(value) -> str:
    """The normal form of a telephone number: E.164 where it is a possible one (default: CN), else its digits.

    ``+86 138-0013-8000``, full-width digits and ``13800138000`` all give ``+8613800138000``; an extension is kept
    behind an ``x``. Blank gives an empty string.
    """
    text = unicodedata.normalize("NFKC", clean_text(value))
    if not text:
        return ""
    if _CHINESE_MOBILE.fullmatch(text):
        return f"+86{text}"
    if match := _CHINESE_LANDLINE.fullmatch(text):
        return f"+86{match[1]}{match[2]}"
    try:
        number = phonenumbers.parse(text.replace("转", "ext"), "CN")
    except phonenumbers.NumberParseException:
        return re.sub(r"[^0-9x+]", "", text.casefold())[:40]
    if not phonenumbers.is_possible_number(number):
        return re.sub(r"[^0-9x+]", "", text.casefold())[:40]
    key = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return f"{key}x{number.extension}" if number.extension else key


_PHONE_SHAPE = re.compile(r"^[+(（]?[0-9][0-9\s().（）\-–—/*#+]*(?:(?:转|ext\.?|x|#)\s*\d+)?$", re.IGNORECASE)


def is_phone(value) -> bool:
    """Whether ``value`` can be a telephone number: 5 to 20 digits with the usual separators and an extension."""
    if isinstance(value, str) and (_CHINESE_MOBILE.fullmatch(value) or _CHINESE_LANDLINE.fullmatch(value)):
        return True
    text = unicodedata.normalize("NFKC", clean_text(value))
    digits = re.sub(r"\D", "", text)
    return 5 <= len(digits) <= 20 and bool(_PHONE_SHAPE.match(text))


def mask_phone(value) -> str:
    """``138****8000``: enough to recognise a number, not enough to call it."""
    text = clean_text(value)
    return text if len(text) < 5 else f"{text[:3]}****{text[-4:] if len(text) >= 9 else text[-1:]}"
