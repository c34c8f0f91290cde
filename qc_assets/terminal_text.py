"""Text of strangers for a terminal or a spreadsheet: what would act there is shown instead."""

import re
import unicodedata

# Every character that a terminal obeys and does not show: control characters (but for the end of a line and tabs),
# marks of direction and other invisible ones, and half characters that no encoding takes. Joiners make emoji.
_KINDS = ("Cc", "Cf", "Cs", "Zl", "Zp")
_KEPT = "\n\t\u200c\u200d"
_POINTS = (chr(point) for point in range(0xE0080))
_ACTIVE = re.compile(
    f"[{''.join(re.escape(c) for c in _POINTS if unicodedata.category(c) in _KINDS and c not in _KEPT)}]"
)

FORMULA = r"""^[\s"']*[=+@\t\r＝＋－＠-]"""
"""How a text begins that a spreadsheet takes for a formula, whatever blanks and quotes are before it."""


def displayable(text: str) -> str:
    """The text, with ``\\x1b`` and the like for what a terminal would obey instead of showing it."""
    return _ACTIVE.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def displayable_in_json(text: str) -> str:
    """A JSON document, with the same characters escaped as JSON does; what it says stays the same."""
    return _ACTIVE.sub(_json_escape, text)


def _json_escape(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
