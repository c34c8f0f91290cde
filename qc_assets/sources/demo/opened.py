"""What a synthetic pull request shows of itself at its opening beside texts and sizes: files, who is asked, branches.

None of it has to do with p0, so a model that gains by it has learnt chance. Everything here is drawn by a generator of
its own, so that the rest of a world does not depend on it.
"""

import numpy as np
import polars as pl

from qc_assets.sources.demo.population import Repositories

_HOUR = 3600.0
_POOL = 90  # files of a repository
_DOCS = 2  # the kind of pull request that is about documentation, see text.KINDS


def with_facts(
    seed: int, repos: Repositories, is_bot: np.ndarray, prs: pl.DataFrame
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Pull requests with base, is_from_fork and reviewers; and the requests for a review, see `review_requests`."""
    requests = review_requests(seed, repos, prs, is_bot)
    return with_reviewers(with_branches(seed, prs), requests), requests


def with_branches(seed: int, prs: pl.DataFrame) -> pl.DataFrame:
    """Add base (main, or now and then a branch of a release) and is_from_fork (all but of core members)."""
    rng = np.random.default_rng([seed, 11])
    base = np.where(rng.random(prs.height) < 0.08, "release", "main")
    return prs.with_columns(base=pl.Series(base.tolist(), dtype=pl.String), is_from_fork=~pl.col("is_core"))


def files(seed: int, prs: pl.DataFrame) -> pl.DataFrame:
    """The files of each opening whose sizes can still be told, as many as it says: neighbours among the repository's.

    Args:
        seed: of the draws.
        prs: item, repo_id, number, opened, kind, files, additions, deletions, sizes_from.

    Returns:
        repo_id, number, time, path, change, additions, deletions.
    """
    rng = np.random.default_rng([seed, 12])
    first = pl.Series(rng.integers(0, _POOL, prs.height))
    rows = prs.with_columns(first=first).filter(pl.col("sizes_from").is_not_null())
    rows = rows.with_columns(n=pl.int_ranges("files")).explode("n")
    n = pl.when(pl.col("files") > _POOL).then("n").otherwise((pl.col("first") + pl.col("n")) % _POOL)
    path = (
        pl.when(pl.col("kind") == _DOCS)
        .then(pl.format("docs/page{}.md", "place"))
        .when(pl.col("place") % 29 == 7)
        .then(pl.format("packages/p{}/package-lock.json", "place"))
        .when(pl.col("place") % 5 == 3)
        .then(pl.format("tests/test_part{}.py", "place"))
        .otherwise(pl.format("src/area{}/part{}.py", pl.col("place") % 4, "place"))
    )
    is_first = pl.col("n") == 0  # it takes what is left over
    shares = {
        name: pl.col(name) // pl.col("files") + pl.when(is_first).then(pl.col(name) % pl.col("files")).otherwise(0)
        for name in ("additions", "deletions")
    }
    return rows.with_columns(place=n).select(
        "repo_id", "number", path=path, change=pl.lit("modified"), time="opened", **shares
    )


def review_requests(seed: int, repos: Repositories, prs: pl.DataFrame, is_bot: np.ndarray) -> pl.DataFrame:
    """Core members whom authors ask: half of the time at the opening, a fifth of the time hours after it.

    Args:
        seed: of the draws.
        repos: their core members.
        prs: item, repo, repo_id, number, user, opened.
        is_bot: by user; programs ask nobody.

    Returns:
        repo_id, number, user (who is asked), asker, time.
    """
    rng = np.random.default_rng([seed, 13])
    chosen: list[tuple[int, int, float]] = []
    repo, author, opened = (prs[name].to_numpy() for name in ("repo", "user", "opened"))
    at_once, later = rng.random(prs.height) < 0.5, rng.random(prs.height) < 0.2
    wait, slot = rng.exponential(8 * _HOUR, prs.height) + _HOUR, rng.random((prs.height, 2))
    for n in range(prs.height):
        core = repos.members[repo[n]][repos.core[repo[n]]]
        for is_wanted, at, place in ((at_once[n], opened[n], slot[n, 0]), (later[n], opened[n] + wait[n], slot[n, 1])):
            user = int(core[int(place * len(core))])
            if is_wanted and user != author[n] and not is_bot[author[n]]:
                chosen.append((n, user, float(at)))
    rows = pl.DataFrame(chosen, schema={"row": pl.Int64, "user": pl.Int64, "time": pl.Float64}, orient="row")
    items = (
        prs.select("repo_id", "number", asker="user").with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    )
    return rows.join(items, on="row", maintain_order="left").drop("row")


def with_reviewers(prs: pl.DataFrame, requests: pl.DataFrame) -> pl.DataFrame:
    """Add reviewers, how many were asked at the opening itself."""
    at_once = requests.join(prs.select("repo_id", "number", "opened"), on=["repo_id", "number"])
    counts = at_once.filter(pl.col("time") == pl.col("opened")).group_by("repo_id", "number").len("reviewers")
    joined = prs.join(counts, on=["repo_id", "number"], how="left", maintain_order="left")
    return joined.with_columns(pl.col("reviewers").cast(pl.Int64).fill_null(0))


def request_rows(requests: pl.DataFrame, people: pl.DataFrame) -> pl.DataFrame:
    """Columns of raw.review_requests for `review_requests`, and whatever else those have.

    Args:
        requests: of `review_requests`.
        people: user, author_id, author_login.
    """
    reviewers = people.select("user", reviewer_id="author_id", reviewer_login="author_login")
    askers = people.select(asker="user", requested_by_id="author_id", requested_by_login="author_login")
    named = requests.join(reviewers, on="user", how="left").join(askers, on="asker", how="left")
    return named.drop("user", "asker").with_columns(is_team=pl.lit(value=False), action=pl.lit("requested"))
