"""How things end in the demo as they do in reality: landed as closed, given up by a program, reported on by a machine.

Who is never resolved is drawn before; what is drawn here only says how the rest of them end, so that the true medians
stay what they are.
"""

import numpy as np
import polars as pl

from qc_assets.sources.demo.population import DAY, MACHINE, MERGE_BOT, STALE_BOT, People, Repositories

# The repository whose merge bot closes what it lands.
_SQUASHES = 1
_LANDED = "[Merged by Bors] - "
# Of what is never resolved: shares, and median days until it is closed all the same.
_GIVEN_UP = {"stale": (0.4, 45.0), "not_planned": (0.2, 4.0), "duplicate": (0.15, 1.0)}
_CLOSED_BY = ("closed_by_id", "closed_by_login", "closed_by_is_bot")
_REPORTED = 0.3
_REPORT = (
    "**Quality report** for this change: {} findings in {} modules. It covers style, complexity, duplication and "
    "tests; details are in the log of build {}."
)


def close_pull_requests(repos: Repositories, people: People, prs: pl.DataFrame) -> pl.DataFrame:
    """Add `closer`, the user who closes it, and `squashed`, whether landing closes it instead of merging it."""
    repo = prs["repo"].to_numpy()
    squashed = (repo == _SQUASHES) & prs["merged"].to_numpy()
    closer = np.where(squashed, people.index(MERGE_BOT), _maintainers(repos)[repo])
    return prs.with_columns(closer=pl.Series(closer), squashed=pl.Series(squashed))


def close_issues(seed: int, repos: Repositories, people: People, issues: pl.DataFrame) -> pl.DataFrame:
    """Add `closer` and `reason`, and close most of what is never resolved: as stale, not planned or duplicate."""
    rng = np.random.default_rng([seed, 1])
    repo, closed = issues["repo"].to_numpy(), issues["closed"].to_numpy().copy()
    closer = _maintainers(repos)[repo]
    reason = np.full(len(closed), "completed", dtype=object)
    drawn, delay = rng.random(len(closed)), rng.lognormal(0, 0.6, len(closed)) * DAY
    edge = 0.0
    for ending, (share, days) in _GIVEN_UP.items():
        chosen = ~np.isfinite(issues["closed"].to_numpy()) & (drawn >= edge) & (drawn < edge + share)
        closed[chosen] = issues["opened"].to_numpy()[chosen] + days * delay[chosen]
        reason[chosen] = "duplicate" if ending == "duplicate" else "not_planned"
        if ending == "stale":
            closer[chosen] = people.index(STALE_BOT)
        edge += share
    return issues.with_columns(closed=pl.Series(closed), closer=pl.Series(closer), reason=pl.Series(reason.tolist()))


def reports(seed: int, people: People, prs: pl.DataFrame) -> pl.DataFrame:
    """What an account of type User that is a machine writes below pull requests: item, user, time, body."""
    rng = np.random.default_rng([seed, 2])
    index = np.flatnonzero(rng.random(prs.height) < _REPORTED)
    numbers = zip(*(rng.integers(1, most, len(index)).tolist() for most in (30, 9, 10**6)), strict=True)
    return pl.DataFrame(
        {
            "item": index,
            "user": np.full(len(index), people.index(MACHINE)),
            "time": prs["opened"].to_numpy()[index] + 40.0,
            "body": pl.Series([_REPORT.format(*three) for three in numbers], dtype=pl.String),
        }
    )


def closing_columns(over: pl.Expr) -> dict[str, pl.Expr]:
    """Columns of the raw tables about the closing; the accounts of `closer` are joined as ``closed_by_*``."""
    columns: dict[str, pl.Expr] = {name: pl.when(over).then(name) for name in _CLOSED_BY}
    return columns | {"closed_with": pl.when(over).then(pl.lit("nothing"))}


def with_closer(frame: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Join the account of `closer` as ``closed_by_*``."""
    accounts = people.select("user", *(pl.col(f"author_{name}") for name in ("id", "login", "is_bot")))
    renamed = accounts.rename(lambda name: "closer" if name == "user" else name.replace("author", "closed_by"))
    return frame.join(renamed, on="closer", how="left")


def last_title(over: pl.Expr) -> pl.Expr:
    """The title of a pull request as it is last seen: some are renamed after they landed."""
    renamed = over & pl.col("merged") & pl.col("renamed")
    return pl.when(renamed).then("docs: landed " + pl.col("title")).otherwise(title_at_end(over))


def title_at_end(over: pl.Expr) -> pl.Expr:
    """The title of a pull request at its closing."""
    return pl.when(over & pl.col("squashed")).then(pl.lit(_LANDED) + pl.col("title")).otherwise("title")


def _maintainers(repos: Repositories) -> np.ndarray:
    """A member of each repository who is there from the beginning."""
    return np.array([members[0] for members in repos.members])
