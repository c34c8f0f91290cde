"""What a comment says once quotes, code and links are taken out of its Markdown."""

import re
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


@dataclass(frozen=True)
class CommentParts:
    """A comment, taken apart.

    Attributes:
        prose: what its author wrote in words; inline code stays, as it is part of sentences.
        code: characters of fenced and indented code.
        quoted: characters of quotes.
        links: how many links.
        has_suggestion: it proposes the exact change (GitHub's ``suggestion`` fence).
    """

    prose: str
    code: int
    quoted: int
    links: int
    has_suggestion: bool

    @property
    def words(self) -> int:
        """Words of the prose."""
        return len(_WORD.findall(self.prose))


@lru_cache(maxsize=1)
def _parser() -> MarkdownIt:
    return MarkdownIt("commonmark", {"html": True}).enable("table")


@lru_cache(maxsize=20_000)  # filter and summaries look at each comment of a batch more than once
def parts(body: str) -> CommentParts:
    """Take a comment apart, as GitHub would show it."""
    lines = body.splitlines()
    end = next((place for place, line in enumerate(lines) if _MAIL.match(line)), len(lines))
    quoted = sum(len(line) for line in lines[end:])
    prose: list[str] = []
    code = links = quote_depth = 0
    has_suggestion = False
    for token in _parser().parse("\n".join(lines[:end])):
        if token.type == "blockquote_open":
            quote_depth += 1
        elif token.type == "blockquote_close":
            quote_depth -= 1
        elif token.type in ("fence", "code_block"):
            code += len(token.content)
            has_suggestion |= token.info.strip().startswith("suggestion")
        elif token.type == "inline":
            if quote_depth:
                quoted += len(token.content)
            else:
                text, count = _inline(token)
                prose.append(text)
                links += count
    plain = "\n".join(prose)
    bare = _URL.findall(plain)
    plain = _EMOJI.sub(" ", _URL.sub(" ", plain))
    text = "\n".join(" ".join(line.split()) for line in plain.split("\n"))
    return CommentParts(text.strip(), code, quoted, links + len(bare), has_suggestion)


def _inline(token: Token) -> tuple[str, int]:
    texts, links = [], 0
    for child in token.children or ():
        if child.type == "link_open":
            links += 1
        elif child.type in ("text", "code_inline"):
            texts.append(f"`{child.content}`" if child.type == "code_inline" else child.content)
        elif child.type in ("softbreak", "hardbreak"):
            texts.append("\n")
    return "".join(texts), links
