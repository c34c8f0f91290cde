"""What must not leave the machine, or go into a data set: addresses, keys, people's names."""

import re

# In this order: a token may hold what looks like an address. Each takes time in proportion to the text: what could
# begin anywhere in a run of letters begins at its start only (a lookbehind), and nothing is given back (`++`).
_TOKENS = (
    (
        "<key>",
        re.compile(r"-----BEGIN [A-Z ]*+(?<=PRIVATE KEY)-----.*?(-----END [A-Z ]*+(?<=PRIVATE KEY)-----|\Z)", re.S),
    ),
    (
        "<token>",
        re.compile(
            r"\b(gh[pousr]_[A-Za-z0-9]{20,}|github_pat_[A-Za-z0-9_]{20,}|glpat-[\w-]{16,}|sk-[\w-]{16,}|"
            r"xox[abprs]-[\w-]{10,}|AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|AIza[\w-]{30,}|npm_[A-Za-z0-9]{30,}|"
            r"pypi-[\w-]{30,}|hf_[A-Za-z0-9]{20,})"
        ),
    ),
    (
        r"\1<token>",  # of three parts with dots between: a JSON web token
        # Not `(?:…)*+`: Python before 3.11.5 does not find what follows (gh-106052). The second \b gives nothing back.
        re.compile(r"(?<![\w-])(?=[\w-]*+\.)((?:(?!\beyJ)[\w-])*)\beyJ[\w-]{10,}+\.[\w-]{10,}+\.[\w-]*+"),
    ),
)
_ADDRESSES = (
    (r"\1<secret>@", re.compile(r"(://)[^\s/:@]*+:[^\s/@]++@")),
    ("<email>", re.compile(r"(?<![\w.+-])[\w.+-]++@[\w-]++(?:\.[\w-]++)*\.[A-Za-z]{2,}\b")),
)
_NAME = re.compile(r"(?i)(?:api[_-]?key|secret|token|passwd|password|bearer|authorization)[\"']?\s*+[:=]\s*+")
_QUOTED = re.compile(r"(?i)([\"'])(?:basic |bearer )?[^\s\"'<>]{6,}+\1")
_SCHEME = re.compile(r"(?i)(?:basic |bearer )?")
_WORD = re.compile(r"[^\s\"'<>()\[\]{},;]*+")
_ENDS_WORD = re.compile(r"[\s,;]|$")
_MENTION = re.compile(r"(?<![\w`/.@>])@[A-Za-z0-9](?:[A-Za-z0-9-]{0,38})(?:/[A-Za-z0-9_-]+)?\b")
_FENCE = re.compile(r"(```.*?(?:```|\Z))", re.S)


def masked_code(code: str) -> str:
    """Code without addresses, tokens, keys and passwords; what follows an @ is a decorator there."""
    for replacement, pattern in _TOKENS:
        code = pattern.sub(replacement, code)
    code = _without_passwords(code)
    for replacement, pattern in _ADDRESSES:
        code = pattern.sub(replacement, code)
    return code


def _without_passwords(code: str) -> str:
    """What is said to be a secret, as a literal in quotes, or a word with a digit: `token = load(path)` is code."""
    pieces, done, looked_at = [], 0, 0
    for name in _NAME.finditer(code):
        if name.start() < done:
            continue
        if quoted := _QUOTED.match(code, name.end()):
            end = quoted.end()
        else:
            scheme = _SCHEME.match(code, name.end())
            start = scheme.end() if scheme else name.end()
            if start < looked_at:  # the end of a word that is no secret is none
                continue
            word = _WORD.match(code, start)
            end = looked_at = word.end() if word else start
            is_secret = end - start >= 6 and any(map(str.isdecimal, code[start:end])) and _ENDS_WORD.match(code, end)
            if not is_secret:
                continue
        pieces += [code[done : name.end()], "<secret>"]
        done = end
    return "".join([*pieces, code[done:]])


def masked(text: str) -> str:
    """Markdown without addresses, tokens, keys, passwords and @-mentions; doing it again changes nothing."""
    pieces = _FENCE.split(masked_code(text))
    return "".join(piece if place % 2 else _MENTION.sub("@<user>", piece) for place, piece in enumerate(pieces))
