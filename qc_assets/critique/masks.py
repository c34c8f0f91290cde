"""What must not leave the machine, or go into a data set: addresses, keys, people's names."""

import re

# In this order: a token may hold what looks like an address.
_MASKS = (
    ("<key>", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.S)),
    (
        "<token>",
        re.compile(
            r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[\w-]{16,}|sk-[\w-]{16,}|"
            r"xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|AIza[\w-]{30,}|npm_[A-Za-z0-9]{30,}|"
            r"pypi-[\w-]{30,}|hf_[A-Za-z0-9]{20,}|eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]*)"
        ),
    ),
    (
        r"\1<secret>",
        re.compile(
            # A literal in quotes, or a word with a digit in it: `token = load(path)` is code, and no secret.
            r"(?i)((?:api[_-]?key|secret|token|passwd|password|bearer|authorization)[\"']?\s*[:=]\s*)"
            r"(?:(?P<quote>[\"'])(?:basic |bearer )?[^\s\"'<>]{6,}(?P=quote)|(?:basic |bearer )?"
            r"(?=[^\s\"'<>()\[\]{},;]*\d)[^\s\"'<>()\[\]{},;]{6,}(?=[\s,;]|$))"
        ),
    ),
    (r"\1<secret>@", re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/:@]+:[^\s/@]+@")),
    ("<email>", re.compile(r"\b[\w.+-]+@[\w-]+(\.[\w-]+)*\.[A-Za-z]{2,}\b")),
)
_MENTION = re.compile(r"(?<![\w`/.@>])@[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})(?:/[A-Za-z0-9_-]+)?\b")
_FENCE = re.compile(r"(```.*?(?:```|\Z))", re.S)


def masked_code(code: str) -> str:
    """Code without addresses, tokens, keys and passwords; what follows an @ is a decorator there."""
    for replacement, pattern in _MASKS:
        code = pattern.sub(replacement, code)
    return code


def masked(text: str) -> str:
    """Markdown without addresses, tokens, keys, passwords and @-mentions; doing it again changes nothing."""
    pieces = _FENCE.split(masked_code(text))
    return "".join(piece if place % 2 else _MENTION.sub("@<user>", piece) for place, piece in enumerate(pieces))
