"""Text of strangers for a terminal or a spreadsheet: what would act there is shown instead."""

import unicodedata
from collections.abc import Callable
from functools import cache

# Every character that a terminal obeys and does not show: control characters (but for the end of a line and tabs),
# marks of direction and other invisible ones, and half characters that no encoding takes. Joiners make emoji.
_KINDS = ("Cc", "Cf", "Cs", "Zl", "Zp")
_KEPT = "\n\t\u200c\u200d"
FORMULA = r"""^[\s"']*[=+@\t\r＝＋－＠-]"""
"""How a text begins that a spreadsheet takes for a formula, whatever blanks and quotes are before it."""


def displayable(text: str) -> str:
    """The text, with ``\\x1b`` and the like for what a terminal would obey instead of showing it."""
    return _replaced(text, lambda character: character.encode("unicode_escape").decode())


def displayable_in_json(text: str) -> str:
    """A JSON document, with the same characters escaped as JSON does; what it says stays the same."""
    return _replaced(text, _json_escape)


def _replaced(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(escape(character) if _acts(character) else character for character in text)


@cache
def _acts(character: str) -> bool:
    return unicodedata.category(character) in _KINDS and character not in _KEPT


def _json_escape(character: str) -> str:
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
