"""What a comment says once quotes, code and links are taken out of its Markdown."""

import re
import textwrap
from dataclasses import dataclass
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.token import Token

# An answer by e-mail quotes all that it answers to.
_MAIL = re.compile(
    r"^\s*(On .{6,160} wrote:|-{2,}\s*Original Message\s*-{2,}|Reply to this email directly.*)\s*$", re.I
)
_EMOJI = re.compile(r":[a-z0-9_+-]+:|[\U0001F000-\U0001FAFF\u2600-\u27BF\uFE0F\u200D]")
_URL = re.compile(r"https?://\S+")
_WORD = re.compile(r"[^\W\d_]{2,}")
_HIDDEN = re.compile(r"<!--.*?(?:-->|\Z)", re.S)
_TAG = re.compile(r"</?[A-Za-z][^<>]*>")


@dataclass(frozen=True)
class CodeBlock:
    """Fenced or indented code, with nothing but its own indentation: the same code looks the same anywhere.

    Attributes:
        code: its lines; a suggestion without any asks to delete the lines that it is on.
        is_suggestion: it is the exact change (GitHub's and GitLab's ``suggestion`` fence).
    """

    code: str
    is_suggestion: bool

    def told(self, most_characters: int) -> str:
        """In one line, what a suggestion asks for, or the code itself; cut off at so many characters of code."""
        if not self.code and self.is_suggestion:
            return "Suggests deleting the lines."
        shown = shortened(self.code, most_characters)
        inner = max((len(run) for run in re.findall("`+", shown)), default=0)
        ticks, space = ("`" * (inner + 1), " ") if inner else ("`", "")  # as Markdown has it
        shown = f"{ticks}{space}{shown}{space}{ticks}"
        count = self.code.count("\n") + 1
        lines = f" ({count} lines)" if count > 1 else ""
        return f"Suggests replacing with {shown}{lines}." if self.is_suggestion else shown


def shortened(text: str, most_characters: int) -> str:
    """A text in one line, cut off between words where it is longer."""
    line = " ".join(text.split())
    if len(line) <= most_characters:
        return line
    return line[: most_characters - 1].rsplit(" ", 1)[0] + " …"


@dataclass(frozen=True)
class CommentParts:
    """A comment, taken apart.

    Attributes:
        pieces: paragraphs of what its author wrote in words, without Markdown, and code between them, in order;
            inline code stays, as it is part of sentences.
        quoted: characters of quotes, with the code in them.
        links: how many links.
        hidden: what no reader sees, in HTML comments.
    """

    pieces: tuple[str | CodeBlock, ...]
    quoted: int
    links: int
    hidden: str

    @property
    def prose(self) -> str:
        """What its author wrote in words."""
        return "\n".join(piece for piece in self.pieces if isinstance(piece, str))

    @property
    def blocks(self) -> tuple[CodeBlock, ...]:
        """Its code: suggestions alone if there are any, as what is around them only explains."""
        blocks = tuple(piece for piece in self.pieces if isinstance(piece, CodeBlock))
        return tuple(block for block in blocks if block.is_suggestion) or blocks

    @property
    def code(self) -> str | None:
        """The code that decides whether two comments say the same: None without any, empty for a deletion."""
        return "\n\n".join(block.code for block in self.blocks) if self.blocks else None

    @property
    def has_suggestion(self) -> bool:
        """Whether it proposes the exact change."""
        return any(block.is_suggestion for block in self.blocks)

    @property
    def words(self) -> int:
        """Words of the prose."""
        return len(_WORD.findall(self.prose))

    def told(self, most_characters: int = 400) -> str:
        """What it says in words, with its suggestions told, too; each cut off at so many characters."""
        told = (
            piece if isinstance(piece, str) else piece.told(most_characters)
            for piece in self.pieces
            if isinstance(piece, str) or piece.is_suggestion
        )
        return "\n".join(told)


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True}).enable("table")


@lru_cache(maxsize=20_000)  # filter and summaries look at each comment of a batch more than once
def parts(body: str) -> CommentParts:
    """Take a comment apart, as GitHub would show it."""
    lines = body.splitlines()
    end = next((place for place, line in enumerate(lines) if _MAIL.match(line)), len(lines))
    quoted = sum(len(line) for line in lines[end:])
    pieces: list[str | CodeBlock] = []
    hidden: list[str] = []
    links = quote_depth = 0
    for token in _parser().parse("\n".join(lines[:end])):
        if token.type == "blockquote_open":
            quote_depth += 1
        elif token.type == "blockquote_close":
            quote_depth -= 1
        elif quote_depth:
            quoted += len(token.content)
        elif token.type in ("fence", "code_block"):
            kind = re.split(r"[\s:]", token.info.strip(), maxsplit=1)[0]
            pieces.append(CodeBlock(_plain_code(token.content), kind.lower() == "suggestion"))
        elif token.type in ("inline", "html_block"):
            text, count, unseen = _inline(token)
            bare = _URL.findall(text)
            links += count + len(bare)
            hidden += unseen
            text = _EMOJI.sub(" ", _URL.sub(" ", text))
            if text := "\n".join(" ".join(line.split()) for line in text.split("\n")).strip():
                pieces.append(text)
    return CommentParts(tuple(pieces), quoted, links, "\n".join(hidden))


def _plain_code(code: str) -> str:
    return textwrap.dedent("\n".join(line.rstrip() for line in code.splitlines())).strip("\n")


def _inline(token: Token) -> tuple[str, int, list[str]]:
    """Words of a paragraph, how many links it has, and its HTML comments."""
    if token.type == "html_block":  # what stands between the tags is shown
        return _TAG.sub(" ", _HIDDEN.sub(" ", token.content)), 0, _HIDDEN.findall(token.content)
    texts, links, hidden = [], 0, []
    for child in token.children or ():
        if child.type == "link_open":
            links += 1
        elif child.type in ("text", "code_inline"):
            texts.append(f"`{child.content}`" if child.type == "code_inline" else child.content)
        elif child.type in ("softbreak", "hardbreak"):
            texts.append("\n")
        elif child.type == "html_inline":
            hidden += _HIDDEN.findall(child.content)
    return "".join(texts), links, hidden
