"""The pull requests and issues of the synthetic GitHub, and the probability behind each verdict.

The data-generating process, all on the log-odds scale, for pull request i of author a in repository r:

    eta = culture[r] + strictness drift[r] * time + skill[a]
          + 0.40 * log1p(earlier pull requests of a in r)      people learn
          - 0.85 * (log1p(lines) - 4.2)                        large changes fail
          - 0.25 * (log1p(files) - 1.2)
          + kind effect (docs +0.5, chore +0.3, bug +0.1, feature -0.2, refactor -0.1)
          + 0.45 if the description is careful                 (long, with checklists and links)
          - 0.15 at night, - 0.10 on weekends
          + planted bias, if there is any, for the pull requests of one group
    p0 = 1 / (1 + exp(-eta));  passed ~ Bernoulli(p0)

Everything that follows (reviews, merging, comments, labels put on later) depends on `passed` alone, never on eta,
so p0 is the best that any model of what is known at the opening could say; fair_p0 is the same without the bias.
"""

from datetime import date
from statistics import NormalDist

import numpy as np
import polars as pl

from qc_assets.errors import SourceError
from qc_assets.sources.demo import origins, text
from qc_assets.sources.demo.knobs import Bias
from qc_assets.sources.demo.population import DAY, N_BOTS, People, Repositories

NEVER_CLOSED = 0.12
CLOSING_SCATTER = 0.9
_KIND_SHARES = (0.33, 0.30, 0.13, 0.13, 0.11)
_KIND_EFFECTS = np.array([-0.2, 0.1, 0.5, -0.1, 0.3])


def openings(rng: np.random.Generator, count: int, days: int, first_day: date) -> np.ndarray:
    """`count` opening instants in seconds from the start, ascending: seasons, weekdays and office hours."""
    index = np.arange(days)
    weekday = (index + first_day.weekday()) % 7
    weight = np.where(weekday < 5, 1.0, 0.35) * (1 + 0.25 * np.sin(2 * np.pi * index / 91)) * (1 + 0.3 * index / days)
    day = np.sort(rng.choice(index, count, p=weight / weight.sum()))
    hour = np.arange(24)
    office = 0.15 + np.exp(-((hour - 10.5) ** 2) / 8) + 0.9 * np.exp(-((hour - 16) ** 2) / 10)
    seconds = rng.choice(hour, count, p=office / office.sum()) * 3600 + rng.integers(0, 3600, count)
    return np.sort(day * DAY + seconds)


def authors(
    rng: np.random.Generator,
    people: People,
    repos: Repositories,
    repo: np.ndarray,
    opened: np.ndarray,
    bot_share: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Who opens each item: somebody who had arrived in its repository, the busy ones more often.

    Returns:
        User index, whether a core member, and how many items the author had opened there before; each (n,).
    """
    user = np.zeros(len(repo), dtype=np.int64)
    is_core = np.zeros(len(repo), dtype=bool)
    for r in range(len(repos.share)):
        rows = np.flatnonzero(repo == r)
        weights = np.cumsum(repos.activity[r])
        present = np.searchsorted(repos.arrivals[r], opened[rows], side="right")
        slot = np.searchsorted(weights, rng.random(len(rows)) * weights[present - 1])
        user[rows], is_core[rows] = repos.members[r][slot], repos.core[r][slot]
    is_bot = rng.random(len(repo)) < bot_share
    user[is_bot] = rng.integers(0, N_BOTS, int(is_bot.sum()))
    is_core[is_bot] = False
    pairs = pl.DataFrame({"repo": repo, "user": user})
    prior = pairs.select(pl.int_range(pl.len()).over("repo", "user")).to_series().to_numpy()
    return user, is_core, prior


def pull_requests(
    rng: np.random.Generator,
    people: People,
    repos: Repositories,
    count: int,
    days: int,
    first_day: date,
    bias: Bias | None = None,
) -> pl.DataFrame:
    """Draw `count` pull requests as they stand at their opening, with p0 and whether they pass.

    Returns:
        One row a pull request, by opening time; times in seconds from the start.
    """
    opened = openings(rng, count, days, first_day)
    repo = rng.choice(len(repos.share), count, p=repos.share)
    user, is_core, prior = authors(rng, people, repos, repo, opened, bot_share=0.06)
    is_bot = people.is_bot[user]
    kind = np.where(is_bot, len(text.KINDS) - 1, rng.choice(len(text.KINDS), count, p=_KIND_SHARES))
    lines = np.maximum(1, rng.lognormal(np.where(is_bot, 1.8, 4.2), np.where(is_bot, 0.8, 1.4))).astype(np.int64)
    # Beside the log-normal bulk there are many of a few lines: 37 % of people's are below ten.
    small = rng.spawn(1)[0]
    is_small = (small.random(count) < 0.335) & ~is_bot
    lines = np.where(is_small, small.integers(1, 10, count), lines)
    additions = np.round(lines * rng.beta(3, 1.3, count)).astype(np.int64)
    files = 1 + rng.poisson(np.minimum(40, 0.5 * lines**0.5))
    careful = rng.random(count) < np.where(is_core, 0.55, 0.4)
    hour, weekday = (opened % DAY) // 3600, (opened // DAY + first_day.weekday()) % 7
    eta = (
        repos.culture[repo]
        + repos.drift[repo] * opened / (days * DAY)
        + people.skill[user]
        + 0.40 * np.log1p(prior)
        - 0.85 * (np.log1p(lines) - 4.2)
        - 0.25 * (np.log1p(files) - 1.2)
        + _KIND_EFFECTS[kind]
        + 0.45 * careful
        - 0.15 * ((hour < 6) | (hour >= 22))
        - 0.10 * (weekday >= 5)
    )
    fair_p0 = 1 / (1 + np.exp(-eta))
    planted = 0.0 if bias is None else bias.log_odds * _judged_otherwise(bias, repos, repo, prior)
    p0 = 1 / (1 + np.exp(-eta - planted))
    return pl.DataFrame(
        {
            "item": np.arange(count),
            "repo": repo,
            "user": user,
            "is_core": is_core,
            "prior": prior,
            "opened": opened,
            "kind": kind,
            "title": _titles(rng, kind, rng.random(count) < np.where(is_bot, 1.0, repos.prefix_habit[repo])),
            "body": _bodies(rng, careful),
            "additions": additions,
            "deletions": lines - additions,
            "files": files,
            "commits": 1 + rng.poisson(np.minimum(12, 0.15 * lines**0.5)),
            "draft": (rng.random(count) < 0.05) & ~is_bot,
            "labelled": rng.random(count) < repos.label_habit[repo],
            "made_by": origins.makers(rng.spawn(1)[0], is_bot, opened, first_day),
            "p0": p0,
            "fair_p0": fair_p0,
            "passed": rng.random(count) < p0,
        }
    )


def _judged_otherwise(bias: Bias, repos: Repositories, repo: np.ndarray, prior: np.ndarray) -> np.ndarray:
    if bias.group == "newcomers":
        return prior == 0
    names = repos.frame["name"].to_list()
    if bias.group not in names:
        raise SourceError(f"QC_DEMO_BIAS: the demo has no repository {bias.group}; it has {', '.join(names[:5])}, …")
    return repo == names.index(bias.group)


def _titles(rng: np.random.Generator, kind: np.ndarray, conventional: np.ndarray) -> np.ndarray:
    titles = np.empty(len(kind), dtype=object)
    for k, name in enumerate(text.KINDS):
        for prefixed in (False, True):
            chosen = (kind == k) & (conventional == prefixed)
            titles[chosen] = rng.choice(text.titles(rng, name, conventional=prefixed), int(chosen.sum()))
    return titles


def _bodies(rng: np.random.Generator, careful: np.ndarray) -> np.ndarray:
    bodies = np.empty(len(careful), dtype=object)
    for is_careful in (False, True):
        chosen = careful == is_careful
        bodies[chosen] = rng.choice(text.bodies(rng, careful=is_careful), int(chosen.sum()))
    return bodies


def issues(
    rng: np.random.Generator, people: People, repos: Repositories, count: int, days: int, first_day: date
) -> pl.DataFrame:
    """Draw `count` issues; hours to the closing are log-normal around effects of repository, kind, text and author.

    Returns:
        One row an issue, by opening time; `hours` is infinite for those that are never closed, `median_hours` the
        true median.
    """
    opened = openings(rng, count, days, first_day)
    repo = rng.choice(len(repos.share), count, p=repos.share)
    user, is_core, prior = authors(rng, people, repos, repo, opened, bot_share=0.02)
    kind = rng.choice(3, count, p=(0.35, 0.5, 0.15))
    careful = rng.random(count) < 0.4
    centre = (
        np.log(60)
        + 0.8 * (np.log(repos.response_hours[repo]) - 2)
        + np.array([0.7, -0.3, -0.2])[kind]
        - 0.5 * careful
        - 0.6 * is_core
        - 0.1 * np.log1p(prior)
    )
    hours = np.where(rng.random(count) < NEVER_CLOSED, np.inf, rng.lognormal(centre, CLOSING_SCATTER))
    # Half of all are closed by then, counting those that never are.
    middle = NormalDist().inv_cdf(0.5 / (1 - NEVER_CLOSED))
    return pl.DataFrame(
        {
            "item": np.arange(count),
            "repo": repo,
            "user": user,
            "is_core": is_core,
            "prior": prior,
            "opened": opened,
            "kind": kind,
            "title": _titles(rng, kind, rng.random(count) < 0.3 * repos.prefix_habit[repo]),
            "body": _bodies(rng, careful),
            "labelled": rng.random(count) < repos.label_habit[repo],
            "hours": hours,
            "median_hours": np.exp(centre + CLOSING_SCATTER * middle),
        }
    )


def number_items(prs: pl.DataFrame, issues: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give pull requests and issues of a repository consecutive numbers in order of opening."""
    both = pl.concat(
        [frame.select("repo", "opened", "item", kind=pl.lit(kind)) for kind, frame in (("pr", prs), ("issue", issues))]
    ).sort("opened", "kind", "item")
    both = both.with_columns(number=pl.int_range(1, pl.len() + 1).over("repo"), repo_id=-(pl.col("repo") + 1))
    numbered = [
        frame.join(both.filter(kind=kind).select("item", "repo_id", "number"), on="item", maintain_order="left")
        for kind, frame in (("pr", prs), ("issue", issues))
    ]
    return numbered[0], numbered[1]
