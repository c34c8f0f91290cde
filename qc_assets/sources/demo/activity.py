"""What happens to the synthetic pull requests and issues: reviews, comments, labels, merging, closing.

Also the shape in which it is observed: a snapshot of each item for each day on which something happened to it.
"""

from dataclasses import dataclass

import numpy as np
import polars as pl

from qc_assets.sources.demo import text
from qc_assets.sources.demo.comments import review_comments
from qc_assets.sources.demo.population import DAY, People, Repositories

_HOUR = 3600.0


@dataclass(frozen=True)
class Verdicts:
    """What the reviewers decided.

    Attributes:
        reviews: item, user, time (seconds from the start), state.
        closed: when each pull request was closed, (n,); infinite if never.
        merged: whether it was merged then, (n,).
        first_rejection: when changes were first requested, (n,); infinite if never.
    """

    reviews: pl.DataFrame
    closed: np.ndarray
    merged: np.ndarray
    first_rejection: np.ndarray


def judge(rng: np.random.Generator, repos: Repositories, prs: pl.DataFrame) -> Verdicts:
    """Let reviewers act on each pull request as its `passed` column says."""
    n = prs.height
    repo, opened, passed = prs["repo"].to_numpy(), prs["opened"].to_numpy(), prs["passed"].to_numpy()
    response = repos.response_hours[repo] * _HOUR
    fate = rng.random(n)  # 3 % are left undecided, 12 % are decided without a review
    reviewed, undecided = fate >= 0.15, fate < 0.03
    first_review = opened + response * rng.lognormal(0, 1, n)
    rounds = np.where(reviewed & ~passed, np.minimum(rng.geometric(0.6, n), 5), 0)
    recovered = rng.random(n) < 0.72

    rejected = np.repeat(np.arange(n), rounds)
    gap = rng.lognormal(np.log(20 * _HOUR), 0.8, len(rejected))
    since_first = pl.DataFrame({"item": rejected, "gap": gap}).select(pl.col("gap").cum_sum().over("item") - gap)
    rejected_at = first_review[rejected] + since_first.to_series().to_numpy()
    last_review = np.where(reviewed, first_review, opened)
    np.maximum.at(last_review, rejected, rejected_at)
    comeback = np.flatnonzero((rounds > 0) & recovered)
    comeback_at = last_review[comeback] + rng.lognormal(np.log(20 * _HOUR), 0.8, len(comeback))
    last_review[comeback] = comeback_at
    approved = np.flatnonzero(reviewed & passed)

    merged = np.where(reviewed, np.where(passed, rng.random(n) < 0.96, recovered), passed)
    wait = np.where(reviewed, rng.exponential(np.where(merged, 6, 60) * _HOUR), 2 * response * rng.lognormal(0, 1, n))
    closed = np.where(undecided, np.inf, last_review + wait)

    early = np.flatnonzero(reviewed & (rng.random(n) < 0.3))
    by_bot = np.flatnonzero(~undecided & (rng.random(n) < 0.15))
    by_self = np.flatnonzero(rng.random(n) < 0.05)
    parts = [
        (approved, first_review[approved], "APPROVED"),
        (rejected, rejected_at, "CHANGES_REQUESTED"),
        (comeback, comeback_at, "APPROVED"),
        (early, opened[early] + rng.random(len(early)) * (first_review[early] - opened[early]), "COMMENTED"),
    ]
    human = pl.concat([_reviews(_reviewers(rng, repos, prs, item), item, at, state) for item, at, state in parts])
    automated = pl.concat(
        [
            _reviews(np.full(len(by_bot), 2), by_bot, opened[by_bot] + 300, "COMMENTED"),
            _reviews(prs["user"].to_numpy()[by_self], by_self, opened[by_self] + 600, "COMMENTED"),
        ]
    )
    lucky = rng.random(automated.height) < 0.15  # a bot's approval decides nothing
    state = pl.when(pl.Series(lucky) & (pl.col("user") == 2)).then(pl.lit("APPROVED")).otherwise("state").alias("state")
    rejection = np.where(rounds > 0, first_review, np.inf)
    return Verdicts(pl.concat([human, automated.with_columns(state)]), closed, merged & ~undecided, rejection)


def _reviews(user: np.ndarray, item: np.ndarray, at: np.ndarray, state: str) -> pl.DataFrame:
    return pl.DataFrame(
        {"item": item, "user": user, "time": at, "state": [state] * len(item)},
        schema_overrides={"state": pl.String},
    )


def _reviewers(rng: np.random.Generator, repos: Repositories, prs: pl.DataFrame, item: np.ndarray) -> np.ndarray:
    """A core member other than the author, for each of `item`."""
    repo, author = prs["repo"].to_numpy()[item], prs["user"].to_numpy()[item]
    sizes = np.array([core.sum() for core in repos.core])
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    pool = np.concatenate([members[core] for members, core in zip(repos.members, repos.core, strict=True)])
    slot = rng.integers(0, sizes[repo])
    chosen = pool[starts[repo] + slot]
    neighbour = pool[starts[repo] + (slot + 1) % sizes[repo]]
    return np.where(chosen == author, neighbour, chosen)


def mergers(rng: np.random.Generator, repos: Repositories, prs: pl.DataFrame) -> np.ndarray:
    """Who would merge each pull request: a core member other than the author; user indices, (n,)."""
    return _reviewers(rng, repos, prs, np.arange(prs.height))


def rewritten(rng: np.random.Generator, merged: np.ndarray) -> pl.Series:
    """From what the sizes at the opening can be told afterwards, as ``opened_sizes_from`` says it; (n,).

    Many are force-pushed, those that get merged more often, as they are rebased before. So what becomes of the sizes
    tells of the verdict: this is bait.
    """
    pushed = rng.random(len(merged)) < np.where(merged, 0.5, 0.25)
    ways = rng.choice(["force_push", "authored_dates", "lost"], len(merged), p=(0.88, 0.07, 0.05))
    return pl.Series(np.where(pushed, ways, "commits").tolist()).replace("lost", None)


def comments_on_reviews(rng: np.random.Generator, people: People, reviews: pl.DataFrame) -> pl.DataFrame:
    """Line comments: about two on each request for changes, few elsewhere.

    Returns:
        Columns comment_id, review_id, item, user, time, body, category (the truth) and path; by time.
    """
    mean = reviews.select(
        pl.when(pl.col("state") == "CHANGES_REQUESTED")
        .then(2.0)
        .when(pl.col("state") == "COMMENTED")
        .then(1.0)
        .otherwise(0.3)
    )
    count = np.where(people.is_bot[reviews["user"].to_numpy()], 0, rng.poisson(mean.to_series().to_numpy()))
    index = np.repeat(np.arange(reviews.height), count)
    bodies, categories = review_comments(rng, len(index))
    return (
        reviews[index]
        .select("review_id", "item", "user", "time")
        .with_columns(
            body=pl.Series(bodies.tolist(), dtype=pl.String),
            category=pl.Series(categories.tolist(), dtype=pl.String),
            path=pl.concat_str(
                pl.lit("src/module_"), pl.Series(rng.integers(0, 40, len(index)).astype(str)), pl.lit(".py")
            ),
        )
        .sort("time", maintain_order=True)
        .with_row_index("comment_id", 1)
    )


def conversation(
    rng: np.random.Generator, repos: Repositories, items: pl.DataFrame, end: np.ndarray, mean: float
) -> pl.DataFrame:
    """Comments between an item's opening and its end (or five days). Columns: item, user, time, body."""
    opened = items["opened"].to_numpy()
    index = np.repeat(np.arange(items.height), rng.poisson(mean, items.height))
    until = np.minimum(end, opened + 5 * DAY)
    users = np.where(
        rng.random(len(index)) < 0.5, _reviewers(rng, repos, items, index), items["user"].to_numpy()[index]
    )
    return pl.DataFrame(
        {
            "item": index,
            "user": users,
            "time": opened[index] + rng.random(len(index)) * (until - opened)[index],
            "body": pl.Series(text.replies(rng, len(index)).tolist(), dtype=pl.String),
        }
    )


def labels(rng: np.random.Generator, items: pl.DataFrame, rejected_at: np.ndarray) -> pl.DataFrame:
    """Labels: of the item's kind, at the opening or minutes to hours later; and `needs work` after a rejection.

    The late ones are bait: a feature that looked at them would know the verdict. Columns: item, label, time.
    """
    index = np.flatnonzero(items["labelled"].to_numpy())
    kinds = [text.LABELS[text.KINDS[k]] for k in range(len(text.KINDS))]
    repo, kind, opened = (items[name].to_numpy()[index] for name in ("repo", "kind", "opened"))
    names = [kinds[k][r % len(kinds[k])] for k, r in zip(kind, repo, strict=True)]
    late = rng.random(len(index)) < 0.5
    bait = np.flatnonzero(np.isfinite(rejected_at) & (rng.random(items.height) < 0.5))
    return pl.DataFrame(
        {
            "item": np.concatenate([index, bait]),
            "label": names + [text.TRIAGE_LABELS[0]] * len(bait),
            "time": np.concatenate(
                [opened + late * _HOUR * rng.exponential(1, len(index)) ** 2, rejected_at[bait] + 60]
            ),
        }
    )


def active_days(days: int, *events: pl.DataFrame) -> pl.DataFrame:
    """The days on which something happened to an item, within the world's days.

    Args:
        days: length of the world.
        events: frames with the columns item and time.

    Returns:
        item, day (index), last (time of the day's last event); one row an item and day.
    """
    happened = pl.concat([frame.select("item", "time") for frame in events]).filter(pl.col("time") < days * DAY)
    return (
        happened.with_columns(day=(pl.col("time") // DAY).cast(pl.Int64))
        .group_by("item", "day")
        .agg(last=pl.col("time").max())
        .sort("day", "item")
    )
