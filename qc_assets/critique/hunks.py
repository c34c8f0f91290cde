"""The code that a comment speaks of, and what became of it."""

import re
from collections import defaultdict
from dataclasses import dataclass

from unidiff.errors import UnidiffParseError
from unidiff.patch import PatchSet

from qc_assets.critique.paths import machine_made

_HEADER = re.compile(r"^@@ -(\d+)(?:,\d+)? \+(\d+)(?:,\d+)? @@ ?(.*)$")
REASONS = {
    "no_hunk": "the source does not show the code",
    "broken_hunk": "the hunk cannot be parsed",
    "lock": "a lock file",
    "vendored": "code of others",
    "minified": "minified code",
    "generated": "generated code",
    "binary": "a binary file",
    "data": "data, not code",
}


@dataclass(frozen=True)
class Line:
    """A line of a hunk.

    Attributes:
        kind: ``+``, ``-`` or a space.
        number: in the new file; in the old one for a line that was taken out.
        text: without the sign.
    """

    kind: str
    number: int
    text: str


@dataclass(frozen=True)
class Hunk:
    """The end of a hunk: GitHub cuts it off behind the line that is spoken of.

    Attributes:
        path: of the file.
        section: what the header names, such as a function.
        lines: the last ones, oldest first; the last is the commented one.
    """

    path: str
    section: str
    lines: tuple[Line, ...]

    @property
    def commented(self) -> Line:
        """The line that the comment is on."""
        return self.lines[-1]

    @property
    def text(self) -> str:
        """As it stands in a diff, without header."""
        return "\n".join(f"{line.kind}{line.text}" for line in self.lines)


class DiffError(ValueError):
    """There is no code to show; its text is one of `REASONS`, or ``broken_diff`` for a whole change."""


def hunk(path: str | None, diff_hunk: str | None, *, most_lines: int = 24, most_characters: int = 2_000) -> Hunk:
    """The end of the hunk that a review comment is on.

    Args:
        path: of the file.
        diff_hunk: as GitHub gives it with the comment.
        most_lines: lines to keep at most, the last ones.
        most_characters: characters to keep at most; the commented line is kept whole.

    Raises:
        DiffError: if there is none, or it is in a file that nobody writes by hand.
    """
    if not path or not diff_hunk:
        raise DiffError("no_hunk")
    kind = machine_made(path, diff_hunk)
    if kind:
        raise DiffError(kind)
    first_line, *body = diff_hunk.rstrip("\n").split("\n")
    header = _HEADER.match(first_line)
    body = [line.rstrip("\r") for line in body if not line.startswith("\\")]  # "\ No newline at end of file"
    if not header or not body:
        raise DiffError("broken_hunk")
    body, before = body[-most_lines:], body[:-most_lines]  # hunks of new files can have thousands of lines
    counts = [sum(not line.startswith(sign) for line in part) for part in (before, body) for sign in "+-"]
    old_start, new_start = int(header[1]) + counts[0], int(header[2]) + counts[1]
    # The header counts the lines of the whole hunk, which are not here.
    text = f"--- a/file\n+++ b/file\n@@ -{old_start},{counts[2]} +{new_start},{counts[3]} @@\n" + "\n".join(
        line if line[:1] in ("+", "-", " ") else f" {line}" for line in body
    )
    try:
        ((parsed,),) = PatchSet(f"{text}\n")
    except (UnidiffParseError, ValueError) as error:
        raise DiffError("broken_hunk") from error
    lines = [
        Line(
            line.line_type,
            (line.source_line_no if line.is_removed else line.target_line_no) or 0,
            line.value.rstrip("\n"),
        )
        for line in parsed
    ]
    shown: list[Line] = []
    size = 0
    for line in reversed(lines):
        size += len(line.text) + 2
        if shown and size > most_characters:
            break
        shown.append(line)
    return Hunk(path, header[3], tuple(reversed(shown)))


class FinalChange:
    """The whole last change of a pull request.

    Args:
        diff: unified.

    Raises:
        DiffError: if it cannot be parsed.
    """

    def __init__(self, diff: str) -> None:
        # Lines that it adds and that it takes out, by file; a renamed file is found under both names.
        self._added: defaultdict[str, set[str]] = defaultdict(set)
        self._removed: defaultdict[str, set[str]] = defaultdict(set)
        try:
            files = PatchSet(diff)
        except (UnidiffParseError, ValueError) as error:
            raise DiffError("broken_diff") from error
        for file in files:
            names = {file.path, file.source_file.removeprefix("a/"), file.target_file.removeprefix("b/")}
            added = {line.value.strip() for part in file for line in part if line.is_added}
            removed = {line.value.strip() for part in file for line in part if line.is_removed}
            for name in names:
                self._added[name] |= added
                self._removed[name] |= removed

    def lacks(self, commented: Hunk) -> bool | None:
        """Whether the author changed the commented line after the comment.

        A line that was added and is not in the last change any more was changed or taken out; so was a line that was
        taken out and now stays, and a line around the change that is taken out now.

        Args:
            commented: what the comment is on.

        Returns:
            None if the line is blank, as there are many like it.
        """
        line = commented.commented
        text = line.text.strip()
        if not text:
            return None
        path = commented.path
        if line.kind == "+":
            # The file may have got another name since.
            added = self._added[path] if path in self._added else set[str]().union(*self._added.values())
            return text not in added
        if line.kind == "-":
            return text not in self._removed[path]
        return text in self._removed[path]
