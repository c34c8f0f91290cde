"""Words for the synthetic GitHub: pools of titles, descriptions and comments, drawn once and then indexed."""

import itertools

import numpy as np

KINDS = ("feature", "bug", "docs", "refactor", "chore")
# Projects have prefixes of their own beside the usual ones.
PREFIXES = {
    "feature": ("feat", "feat", "qt"),
    "bug": ("fix", "fix", "qt"),
    "docs": ("docs", "doc"),
    "refactor": ("refactor",),
    "chore": ("chore", "ci"),
}
LABELS = {
    "feature": ("enhancement", "feature", "type: feature"),
    "bug": ("bug", "type: bug", "kind/bug"),
    "docs": ("documentation", "docs", "area/docs"),
    "refactor": ("refactoring", "cleanup", "tech debt"),
    "chore": ("dependencies", "ci", "chore"),
}
TRIAGE_LABELS = ("needs work", "priority: high", "good first issue", "help wanted", "stale")
POOL_SIZE = 600

_VERBS = {
    "feature": ("add", "support", "introduce", "allow", "expose"),
    "bug": ("fix", "handle", "prevent", "correct", "avoid"),
    "docs": ("document", "explain", "describe", "clarify", "correct the guide on"),
    "refactor": ("simplify", "extract", "move", "rename", "split"),
    "chore": ("bump", "pin", "update", "configure", "remove"),
}
_THINGS = (
    "retry policy", "token refresh", "pagination", "cache invalidation", "null timestamps", "unicode paths",
    "connection pool", "rate limiter", "config loader", "progress bar", "schema migration", "error messages",
    "date parsing", "memory limit", "build matrix", "lock file", "command line options", "log rotation",
    "query planner", "thread shutdown",
)  # fmt: skip
_PLACES = (
    "the client", "the scheduler", "the parser", "the web server", "the exporter", "the tests", "the storage layer",
    "the installer", "the public API", "the worker",
)  # fmt: skip
_SENTENCES = (
    "This change keeps the old behaviour behind a flag.",
    "The failure only shows up when two requests arrive in the same second.",
    "I measured it on my machine and it is about twice as fast.",
    "There is one open question about the naming.",
    "The tests cover the empty case, the common case and the one that was reported.",
    "Reviewers may want to start with the second commit.",
    "Nothing in the public interface changes.",
    "It would be possible to split this, but the parts do not work alone.",
    "We discussed this last week and agreed to try it.",
    "The documentation has been updated as well.",
)
_REPLIES = (
    "Thanks for the report, I can reproduce it.",
    "Could you share the version that you are using?",
    "Rebased on main.",
    "I pushed a commit that should take care of it.",
    "Any news on this one?",
    "The failing check is unrelated.",
)


def titles(rng: np.random.Generator, kind: str, *, conventional: bool) -> np.ndarray:
    """A pool of `POOL_SIZE` titles of one kind, with a conventional-commit prefix or in plain words."""
    verbs, objects, places = (
        rng.choice(words, POOL_SIZE) for words in (_VERBS[kind], np.array(_THINGS), np.array(_PLACES))
    )
    if conventional:
        prefixes = itertools.cycle(PREFIXES[kind])
        return np.array([f"{next(prefixes)}: {v} {t} in {p}" for v, t, p in zip(verbs, objects, places, strict=True)])
    return np.array([f"{v.capitalize()} {t} in {p}" for v, t, p in zip(verbs, objects, places, strict=True)])


def bodies(rng: np.random.Generator, *, careful: bool) -> np.ndarray:
    """A pool of `POOL_SIZE` descriptions: careful ones are long and have checklists, links and code."""
    return np.array([_body(rng, careful) for _ in range(POOL_SIZE)])


def _body(rng: np.random.Generator, careful: bool) -> str:
    if not careful and rng.random() < 0.25:
        return ""
    sentences = rng.choice(_SENTENCES, rng.integers(4, 12) if careful else rng.integers(1, 4))
    parts = [" ".join(sentences)]
    if rng.random() < (0.6 if careful else 0.1):
        parts.append(f"Closes #{rng.integers(1, 900)}, see https://example.org/threads/{rng.integers(1, 9999)}")
    if rng.random() < (0.7 if careful else 0.05):
        boxes = ("x" if rng.random() < 0.8 else " " for _ in range(rng.integers(2, 6)))
        parts.append("\n".join(f"- [{box}] step {n}" for n, box in enumerate(boxes, 1)))
    if rng.random() < (0.4 if careful else 0.05):
        parts.append("```python\nclient.get(timeout=5)\n```")
    return "\n\n".join(parts)


def replies(rng: np.random.Generator, count: int) -> np.ndarray:
    """`count` comments in a conversation."""
    return rng.choice(_REPLIES, count).astype(object)
