"""Rules that tell comments which teach nothing, by their form alone."""

import re

from qc_assets.critique.politeness import is_only_polite
from qc_assets.critique.prose import CommentParts, parts

# Bots that have no mark of GitHub's, by what they post; and machines that speak through people's accounts.
_MACHINE = re.compile(
    r"(?i)\b(codecov|coveralls|coverage (increased|decreased|remained)|build (failed|succeeded|passed|#\d+)|"
    r"\d+ (tests? )?(passed|failed)|test(s)? (pass|fail)(ed)?\b.{0,40}\b(jenkins|travis|ci)\b|jenkins|travis-ci|"
    r"circleci|appveyor|deploy preview|lint(er)?( check)? (error|failed)|sonarqube|cla (not )?signed|"
    r"can one of the admins verify|automatically (generated|created|merged)|this pull request (has been|introduces))\b"
)
# Templates of machines: whatever else stands in them, no person wrote it. Most say so in an HTML comment.
_TEMPLATE = re.compile(r"(?i)\b(reported|posted|(auto-?)?generated) by \W*+(reviewdog|danger|hound|[\w-]*bot)\b")
_MACHINE_MARK = re.compile(r"(?i)__reviewdog__|auto-?generated|automatically generated|\bbot\b")
_COMMAND = re.compile(
    r"^\s*(@?[\w-]*bot\b.*|/[a-z][\w-]*( .*)?|retest this.*|test this please|r\+|r\? @\S+|cc @\S+.*)$", re.I
)
_PROSE_SHARE = 0.5
MOST_CHARACTERS = 65_536  # GitHub's own limit; reading longer Markdown could take as long as somebody likes
REASONS = {
    "bot": "its author is a program",
    "own": "the author of the pull request speaks: an answer, not a review",
    "empty": "there is no text",
    "too_long": "longer than GitHub takes a comment",
    "machine": "a build, a coverage tool or another program speaks",
    "command": "it tells a bot what to do, or calls somebody",
    "quote": "it only quotes",
    "link": "it only links",
    "code": "it only shows code, without a word on it",
    "polite": "approval, thanks or acknowledgement, and nothing else",
    "no_words": "emoji, signs or a single word",
    "not_prose": "most of it is no words: output, numbers, signs",
}


def rejected(body: str | None, *, is_bot: bool | None = False, is_own: bool | None = False) -> str | None:
    """Why a comment teaches nothing, one of `REASONS`, or None if it may.

    Args:
        body: Markdown as it was written.
        is_bot: its author is known to be a program.
        is_own: its author is known to be that of the pull request.
    """
    if is_bot or is_own:
        return "bot" if is_bot else "own"
    if not (body or "").strip():
        return "empty"
    if len(body or "") > MOST_CHARACTERS:
        return "too_long"
    comment = parts(body or "")
    if _TEMPLATE.search(comment.prose) or _MACHINE_MARK.search(comment.hidden):
        return "machine"
    if comment.has_suggestion:  # the exact change is criticism, and worth more than words on it
        return None
    return _by_form(comment) or _by_words(comment)


def _by_form(comment: CommentParts) -> str | None:
    if comment.prose:
        return None
    if comment.blocks:
        return "code"
    if comment.quoted:
        return "quote"
    return "link" if comment.links else "no_words"


def _by_words(comment: CommentParts) -> str | None:
    text = comment.prose
    if _MACHINE.search(text):
        return "machine"
    if all(_COMMAND.match(line) for line in text.splitlines() if line.strip()) and text:
        return "command"
    if is_only_polite(text):
        return "polite"
    if comment.words < 2 and "`" not in text:
        return "link" if comment.links else "no_words"
    if "`" in text:  # code in a sentence is no output, however short the sentence is: "`a` -> `b`"
        return None
    letters = sum(character.isalpha() or character.isspace() for character in text)
    return "not_prose" if letters < _PROSE_SHARE * len(text) else None
