"""Identities and amounts as money needs them: two that look alike are the same, or are refused."""

import math
import re
import unicodedata
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from qc_assets.forges import forge_at

_NAME = r"(?:https?://)?(?:(?P<host>[^/\s#?]+)/(?:(?:api/v3/)?repos/)?)?(?P<owner>[\w.-]+)/(?P<name>[\w.-]+?)(?:\.git)?"
_TASK = re.compile(rf"{_NAME}#0*(?P<number>[0-9]{{1,15}})", re.IGNORECASE)
_PAGE = re.compile(rf"{_NAME}/(?:pull|pulls|issues)/0*(?P<number>[0-9]{{1,15}})(?:[/?#]\S*)?", re.IGNORECASE)
_PLAIN_NUMBER = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?")
# East Asian writing mixes its scripts, and others are told from them at sight.
_UNMISTAKABLE = {"CJK", "HIRAGANA", "KATAKANA", "HANGUL"}
# Letters that show nothing, and those of Latin that no mark makes of an ASCII letter.
_BLANK_LETTERS = "\u115f\u1160\u2800\u3164\uffa0"
_OWN_LATIN = "ßẞøØæÆœŒłŁđĐþÞðÐ"


def normalised(text: str) -> str:
    """An identity in its one form: composed (NFC), without blanks around it.

    Raises:
        ValueError: if another text could look like it: control or invisible characters, letters of several scripts or
            in disguise, marks that compose with nothing, digits other than 0 to 9.
    """
    text = unicodedata.normalize("NFC", text).strip()
    if not text:
        raise ValueError("must not be blank")
    if unicodedata.normalize("NFKC", text) != text:
        raise ValueError("has characters that are others in disguise, such as full-width letters: write plain ones")
    for character in text:
        kind = unicodedata.category(character)
        if kind[0] in "CM" or (kind[0] == "Z" and character != " ") or character in _BLANK_LETTERS:
            raise ValueError(f"must not contain U+{ord(character):04X}: it is invisible, a control or a loose mark")
        if kind[0] == "N" and not character.isascii():
            raise ValueError("write digits as 0 to 9")
    scripts = {_script(character) for character in text if character.isalpha()} - _UNMISTAKABLE
    if len(scripts) > 1:
        raise ValueError(f"mixes letters of {' and '.join(sorted(scripts)).lower()}, which look alike")
    return text


def _script(letter: str) -> str:
    if not letter.isascii() and letter not in _OWN_LATIN:
        name = unicodedata.name(letter, "UNNAMED")
        plain = unicodedata.normalize("NFD", letter)[0].isascii()
        return "LATIN" if plain else f"PHONETIC {name}" if name.startswith("LATIN") else name.split()[0]
    return "LATIN"


def plain_number(value: object) -> object:
    """An amount as it was given.

    Raises:
        ValueError: if it is a text of anything but ASCII digits with a point, or minus zero.
    """
    if isinstance(value, bool) or (isinstance(value, str) and not _PLAIN_NUMBER.fullmatch(value)):
        raise ValueError("write it in digits 0 to 9 with a point, such as 1000.00, and not negative")
    if isinstance(value, float) and math.copysign(1, value) < 0:
        raise ValueError("must not be negative, nor minus zero")
    return value


def one_task(text: str) -> str:
    """The name of a task in its one form, ``[HOST/]owner/name#number``, also of its page's or API's address.

    Raises:
        ValueError: if it has a slash or a # and is neither: so the name of a known task could be written anew.
    """
    parts = _TASK.fullmatch(text) or _PAGE.fullmatch(text)
    if parts is None and not re.search(r"[/#\\]", text):
        return text  # of another system, and nobody's but the caller's
    host, owner, name = parts.group("host", "owner", "name") if parts else ("", "", ".")
    if parts is None or {owner, name} & {".", ".."}:
        raise ValueError("write it as owner/name#number or HOST/owner/name#number")
    forge = forge_at(f"https://{host}").removeprefix("www.") if host else ""
    return "/".join(part for part in (forge, owner, name) if part) + f"#{parts['number']}"


Identity = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(normalised)]
PlainNumber = BeforeValidator(plain_number)
