"""No vendor string reaches the user in English, and the catalogue holds nothing the vendors no longer say."""

import ast
import gettext
import importlib
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from django.apps import apps
from django.conf import settings
from django.utils.translation import trans_real
from django.utils.translation.template import templatize

CATALOGUE = settings.BASE_DIR / "crm" / "locale" / "zh_Hans" / "LC_MESSAGES"
# which argument is the msgid, and which its context
CALLS = {
    "_": (0, None),
    "gettext": (0, None),
    "gettext_lazy": (0, None),
    "gettext_noop": (0, None),
    "ngettext": (0, None),
    "ngettext_lazy": (0, None),
    "pgettext": (1, 0),
    "pgettext_lazy": (1, 0),
    "npgettext": (1, 0),
    "npgettext_lazy": (1, 0),
}
LITERAL = r"""u?("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')"""
CALL_IN_TEXT = re.compile(rf"\b({'|'.join(CALLS)})\(\s*{LITERAL}(?:\s*,\s*{LITERAL})?", re.DOTALL)


def message(function, arguments):
    """The key gettext files a call under, or None when the text is not written out in the source."""
    text, context = CALLS[function]
    needed = arguments[: text + 1]
    if len(needed) <= text or not all(isinstance(each, str) and each for each in needed):
        return None
    return needed[text] if context is None else f"{needed[context]}\x04{needed[text]}"


def in_python(source):
    tree = ast.parse(source)
    names = {
        alias.asname: alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
        if alias.asname
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = getattr(node.func, "id", None) or getattr(node.func, "attr", None)
            function = names.get(called, called)
            if function in CALLS:
                yield message(function, [getattr(each, "value", None) for each in node.args])


def in_script(source):
    for function, *literals in CALL_IN_TEXT.findall(source):
        yield message(function, [ast.literal_eval(each) for each in literals if each])


def in_template(source):
    return in_script(templatize(source))


def vendor_files():
    """Third-party packages whole; of Django the core and the contrib apps in use."""
    used = {config.name for config in apps.get_app_configs()}
    packages = {name.partition(".")[0] for name in used}
    for package in sorted(packages):
        if (settings.BASE_DIR / package).is_dir():
            continue
        root = Path(importlib.import_module(package).__file__).parent
        for file in root.rglob("*.*"):
            parts = file.relative_to(root).parts
            unused = package == "django" and parts[0] == "contrib" and ".".join(("django", *parts[:2])) not in used
            if not unused and not {"migrations", "locale", "tests", "conf"} & set(parts[:-1]):
                yield file


# per catalogue: the kinds of files it speaks for, the word that gives them away, the search
SEARCHES = {
    "django": [({".py"}, "gettext", in_python), ({".html", ".txt"}, "i18n", in_template)],
    "djangojs": [({".js"}, "gettext", in_script)],
}


@cache
def vendor_messages(domain):
    """Every msgid the vendors mark for translation, with the file it was first seen in."""
    found = {}
    for file in vendor_files():
        for suffixes, word, search in SEARCHES[domain]:
            if file.suffix in suffixes and not file.stem.endswith(".min") and word in (source := file.read_text()):
                for each in search(source):
                    found.setdefault(each, file)
    found.pop(None, None)
    return found


def texts(catalogue):
    """msgid → translation; of a plural the one form Chinese has."""
    return {(key[0] if isinstance(key, tuple) else key): text for key, text in dict(catalogue).items() if key}


@cache
def own_catalogue(domain):
    with (CATALOGUE / f"{domain}.mo").open("rb") as file:
        return texts(gettext.GNUTranslations(file)._catalog)


@cache
def chinese(domain):
    """What a Chinese user reads: ours over the vendors'. The admin serves scripts its own catalogue and ours."""
    if domain == "django":
        return texts(trans_real.translation("zh-hans")._catalog)
    admin = Path(apps.get_app_config("admin").path) / "locale"
    return texts(trans_real.DjangoTranslation("zh-hans", domain=domain, localedirs=[admin])._catalog)


def test_the_search_finds_what_vendors_say():
    """A silent change of the search itself would make the other tests true of nothing."""
    found = vendor_messages("django").keys()
    assert {"Apply Filters", "Welcome back to", "access attempt", "Select all", "Queued tasks"} <= found
    assert "String to return when truncating text\x04%(truncated_text)s…" in found
    assert {"Choose a Date", "one letter Sunday\x04S"} <= vendor_messages("djangojs").keys()


@pytest.mark.parametrize("domain", SEARCHES)
def test_every_vendor_string_has_a_chinese_translation(domain):
    missing = [f"{text!r} ({file})" for text, file in vendor_messages(domain).items() if not chinese(domain).get(text)]
    assert not missing, f"缺少译文，请补进 {domain}.po：\n" + "\n".join(missing)


@pytest.mark.parametrize("domain", SEARCHES)
def test_every_entry_of_the_catalogue_is_still_said_by_a_vendor(domain):
    gone = sorted(own_catalogue(domain).keys() - vendor_messages(domain).keys())
    assert not gone, f"组件已不再使用，请从 {domain}.po 删除：\n" + "\n".join(gone)


@pytest.mark.parametrize("domain", SEARCHES)
def test_our_wording_wins_over_that_of_the_vendors(domain):
    assert own_catalogue(domain).items() <= chinese(domain).items()


@pytest.mark.parametrize("domain", SEARCHES)
@pytest.mark.skipif(not shutil.which("msgfmt"), reason="没有安装 gettext")
def test_the_compiled_catalogue_is_that_of_the_source(domain, tmp_path):
    compiled = tmp_path / f"{domain}.mo"
    subprocess.run(["msgfmt", "--check-format", "-o", compiled, CATALOGUE / f"{domain}.po"], check=True)
    with compiled.open("rb") as file:
        assert texts(gettext.GNUTranslations(file)._catalog) == own_catalogue(domain)
