"""Folding and tokens: what a person types and what a record says meet, whatever the width, case and punctuation."""

import pytest

from crm.search.tokens import dialled, required, squeeze, tokens, words

TEXTS = ["深圳市华强电子有限公司", "abctrading", "𠮷祥科技🎉", "kh2026001", "3m中国", "东a1方", "é"]
# of InnoDB, as innodb_ft_default_stopword lists them
STOP_WORDS = {
    *(
        "a",
        "about",
        "an",
        "are",
        "as",
        "at",
        "be",
        "by",
        "com",
        "de",
        "en",
        "for",
        "from",
        "how",
        "i",
        "in",
        "is",
        "it",
    ),
    *(
        "la",
        "of",
        "on",
        "or",
        "that",
        "the",
        "this",
        "to",
        "was",
        "what",
        "when",
        "where",
        "who",
        "will",
        "with",
        "und",
    ),
    "www",
}


def pieces(text):
    return {text[start:end] for start in range(len(text)) for end in range(start + 1, len(text) + 1)}


@pytest.mark.parametrize("text", TEXTS)
def test_every_piece_of_a_text_is_found_by_the_tokens_of_the_text(text):
    held = tokens(text)
    for piece in pieces(text):
        for token, begins in required(piece).values():
            assert any(has.startswith(token) if begins else has == token for has in held), (piece, token)


@pytest.mark.parametrize("word", ["华强", "华强北", "trade", "abctra", "𠮷", "🎉"])
def test_a_word_of_some_length_asks_for_whole_tokens(word):
    """Beginnings of tokens are slow to look up: only single characters and up to four letters need them."""
    assert not any(begins for _, begins in required(word).values())


def test_no_token_is_shorter_than_a_stock_server_takes_nor_a_stop_word():
    """innodb_ft_min_token_size is 3 by default; a token it drops would be found nowhere."""
    held = tokens("\n".join([*TEXTS, *STOP_WORDS]))
    assert not held & STOP_WORDS
    assert min(map(len, held)) >= 3


def test_lines_of_an_entry_do_not_run_into_each_other():
    assert tokens("甲乙\n丙丁") == tokens("甲乙") | tokens("丙丁")


@pytest.mark.parametrize(
    ("written", "folded"),
    [("ＡＢＣ　Co., Ltd.", "abccoltd"), ("深圳（Ａ）公司", "深圳a公司"), ("❤️ 礼品", "❤礼品"), ("%_*", ""), (None, "")],
)
def test_width_case_blanks_and_punctuation_are_nobodys_difference(written, folded):
    assert squeeze(written) == folded


@pytest.mark.parametrize(
    ("term", "wanted"),
    [
        ("深圳 华强", ["深圳", "华强"]),
        ("+86 138 0013", ["138", "0013"]),
        ("00861380013", ["1380013"]),
        ("+86电子", ["86电子"]),
        ('"深圳" -电子* AND', ["深圳", "电子", "and"]),
        ("  % _ ", []),
    ],
)
def test_a_term_is_words_that_all_must_be_found(term, wanted):
    assert words(term) == wanted


@pytest.mark.parametrize(
    ("key", "digits"),
    [
        ("+8613800138000", "13800138000"),
        ("+8675588881234", "075588881234"),
        ("+8675588881234x8", "0755888812348"),
        ("+12125550123", "12125550123"),
        ("4008001234", "4008001234"),
    ],
)
def test_phones_are_found_as_they_are_dialled(key, digits):
    assert dialled(key) == digits
