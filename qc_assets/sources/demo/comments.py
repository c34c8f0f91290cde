"""Words for the synthetic review comments: templates of each category of Turzo et al. (2023), with names filled in.

One comment in ten is worded as if it were of another category, as people's labels disagree, too.
"""

import numpy as np

# In about their published shares.
SHARES = {
    "functional": 0.2,
    "refactoring": 0.25,
    "documentation": 0.2,
    "discussion": 0.25,
    "false_positive": 0.1,
}
_MISWORDED = 0.1
NAMES = (
    "items", "timeout", "retry_count", "session", "cursor", "buffer", "config", "client", "parse_row", "load_state",
    "page", "token", "queue", "handler", "schema", "flush", "merge_rows", "index", "path", "lock",
)  # fmt: skip
_PLACES = ("here", "in this branch", "above", "in the loop", "before the return", "in the error path", "two lines down")
_TEMPLATES = {
    "functional": (
        "This will raise if `{a}` is empty; please guard against it {p}.",
        "The lock around `{a}` is released before `{b}` is written, so a reader can see half of it.",
        "Off by one: the last `{a}` is never reached.",
        "What happens when `{a}` is None? I think that `{b}` crashes.",
        "`{a}` is never closed if `{b}` fails.",
        "This swallows the exception, and `{a}` keeps its old value.",
        "Two threads can both see `{a}` as unset and create it twice.",
        "You compare `{a}` with `{b}`, but one is in seconds and the other in milliseconds.",
        "If `{a}` is negative this loops forever.",
        "The result of `{a}` is ignored, so a failed `{b}` goes unnoticed.",
    ),
    "refactoring": (
        "Could this be a helper? The same four lines with `{a}` appear {p}.",
        "I would rename `{a}` to what it holds.",
        "This nesting is hard to follow; an early return {p} would help.",
        "`{a}` and `{b}` do almost the same; can they be one function?",
        "nit: move `{a}` next to where it is used.",
        "A comprehension over `{a}` would be shorter than this loop.",
        "Please split this function, `{a}` and `{b}` are two concerns.",
        "No need for `{a}`, you can use the one from the standard library.",
        "Let's not repeat this literal {p}; make it a constant.",
        "Unused import of `{a}`.",
    ),
    "documentation": (
        "Please document the unit of `{a}`.",
        "The docstring still describes the old return value of `{a}`.",
        "A sentence in the changelog about `{a}`, please.",
        "Typo in the comment {p}.",
        "Can you add an example to the docs of `{a}`?",
        "The comment says `{a}`, the code does `{b}`. Update the comment?",
        "Missing release note.",
        "Explain why `{a}` is needed, a reader will wonder.",
        "This link in the README is dead.",
        "Wording: `{a} of the {b}` reads better.",
    ),
    "discussion": (
        "Why not use the existing `{a}` {p}?",
        "I am not sure that we want `{a}` in the core. Thoughts?",
        "Nice, thank you for looking into `{a}`.",
        "Did you consider making `{a}` configurable?",
        "What is the plan for `{b}` after this?",
        "I like this approach better than what we had for `{a}`.",
        "Do we have numbers that show that `{a}` matters?",
        "Should this wait until `{a}` has landed?",
        "Is `{a}` the behaviour that users expect?",
        "Great catch!",
    ),
    "false_positive": (
        "Isn't `{a}` already handled upstream? Ah, no, I see it now. Ignore me.",
        "This looks unused, but it is called through the registry, so never mind.",
        "I thought that `{a}` was missing, it is {p}. Sorry for the noise.",
        "Never mind, I misread `{a}`.",
        "Scratch that, `{b}` covers it.",
        "Oh wait, this is fine, `{a}` is checked by the caller.",
    ),
}


def review_comments(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw `count` comments on code.

    Returns:
        Texts and their true categories, each (count,) of str.
    """
    names = list(SHARES)
    truth = rng.choice(names, count, p=list(SHARES.values()))
    worded = np.where(rng.random(count) < _MISWORDED, rng.choice(names, count), truth)
    template, subject, counterpart, place = (rng.integers(0, 60, count) for _ in range(4))
    texts = np.array(
        [
            _TEMPLATES[category][t % len(_TEMPLATES[category])].format(
                a=NAMES[a % len(NAMES)], b=NAMES[b % len(NAMES)], p=_PLACES[p % len(_PLACES)]
            )
            for category, t, a, b, p in zip(worded, template, subject, counterpart, place, strict=True)
        ],
        dtype=object,
    )
    return texts, truth
