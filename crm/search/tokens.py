"""From what people write to what the index holds, and from what they look for to the tokens it must have.

Texts are folded (width, case, blanks) and lose their punctuation, on both sides alike. A token is an overlapping piece:
two characters (UTF-16 units, in hexadecimal) of any script, five of Latin letters and digits behind an underscore (each
four digits stand in thousands of a million codes and numbers), and what is left at the end of a run. So a stock server
indexes all of them: none is shorter than its minimum of three, none is a stop word, and the collation has nothing to
say.
"""

import re
from unicodedata import category, is_normalized

from crm.text import fold

WIDTH = 5  # of a piece of Latin letters and digits
UNIT = 4  # hexadecimal digits of one UTF-16 unit
LONGEST = 200  # more than any name, and what follows makes no difference to a person
_RUN = re.compile(r"[0-9a-z]+|[^0-9a-z\n]+")
_CHINA = re.compile(r"^\s*(?:[+＋]|00)\s*86(?=[\d\s\-–()（）]*$)")


def squeeze(value: str | None) -> str:
    """The folded text without punctuation: letters, digits and pictures."""
    if not value:
        return ""
    if value.isalnum() and is_normalized("NFKC", value):
        return value.casefold()
    return "".join([char for char in fold(value) if char.isalnum() or category(char) == "So"])


def words(term) -> list[str]:
    """What a person looks for: every one of these must be found. A country code of China is nobody's difference."""
    return [word for word in map(squeeze, _CHINA.sub("", str(term)[:LONGEST], count=1).split()) if word]


def dialled(key) -> str:
    """The digits of a stored phone key as people dial them in China: ``+8675588881234`` is ``075588881234``."""
    chinese = key.startswith("+86")
    digits = key[3:] if chinese else key
    if not digits.isdigit():
        digits = "".join([char for char in digits if char.isdigit()])
    return f"0{digits}" if chinese and not digits.startswith("1") else digits


def tokens(text) -> set[str]:
    """All tokens of an entry."""
    found = set()
    for run in _RUN.findall(text):
        if run.isascii():
            found.update(["_" + run[at : at + WIDTH] for at in range(len(run) - 1)])
            found.add(f"_{run[-1]}_")
        else:
            units = run.encode("utf-16-be", "surrogatepass").hex()
            found.update([units[at : at + 2 * UNIT] for at in range(0, len(units), UNIT)])
    return found


def required(word) -> dict[str, tuple[str, bool]]:
    """``{piece of the word: (token, whether any token that begins so will do)}``: what every text with the word has."""
    found = {}
    for run in _RUN.findall(word):
        if run.isascii():
            for at in range(max(1, len(run) - WIDTH + 1)):
                piece = run[at : at + WIDTH]
                found[piece] = f"_{piece}", len(piece) < WIDTH
        else:
            units = run.encode("utf-16-be", "surrogatepass")
            for at in range(0, max(2, len(units) - 2), 2):
                piece = units[at : at + 4]
                found[piece.decode("utf-16-be", "surrogatepass")] = piece.hex(), len(piece) < 4
    return found
