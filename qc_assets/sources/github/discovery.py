"""Which repositories are worth reading: popular, alive, in the languages wanted, and merging pull requests."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from qc_assets.clock import now_utc
from qc_assets.errors import SourceError, WarehouseMissingError
from qc_assets.forges import qualified
from qc_assets.progress import Reporter, unheard
from qc_assets.settings import Settings
from qc_assets.sources.github import raw_rows
from qc_assets.sources.github.access import GitHubAccess
from qc_assets.sources.github.client import Client, odd_answers
from qc_assets.sources.github.plan import counts
from qc_assets.sources.github.query import Part
from qc_assets.store.keyless import upsert
from qc_assets.store.merge import Scope, merge, prepare_merging
from qc_assets.store.schema import sql_sections
from qc_assets.store.warehouse import Warehouse

MERGED_WITHIN_DAYS = 90
_PAGE = 100
_SEARCH_LIMIT = 1000
_MOST_STARS = 10_000_000
_LOOK_AT_ONCE = 200


@dataclass(frozen=True)
class Choice:
    """A candidate, whether it is chosen, and why."""

    repo: Mapping[str, Any]
    is_selected: bool
    reason: str


def discover(
    warehouse: Warehouse, source: GitHubAccess, settings: Settings, progress: Reporter = unheard
) -> dict[str, int]:
    """Choose repositories and store them in `raw.repositories` with the reason.

    Chosen are the `discovery_repos` with most stars among those that have at least `discovery_min_stars`, are in one
    of `discovery_languages`, were pushed to within `discovery_pushed_days`, are neither fork nor archive, and had at
    least `discovery_min_merged` pull requests merged in the last 90 days.

    Returns:
        How many candidates were looked at, chosen, and dropped that had been chosen before.

    Raises:
        RequestError: if GitHub cannot be reached; nothing is stored then.
        SourceError: if nothing satisfies the rules.
    """
    started, now = now_utc(), source.clock.now()
    source.watch(progress)
    before = source.client.spent.requests, source.client.spent.points
    try:
        with odd_answers("graphql discovery"):
            choices = list(_choose(source.client, settings, now.date(), progress))
        source.is_made_up()  # nobody else waits for the warehouse while the server is asked
    finally:
        source.client.close()
    chosen = [choice for choice in choices if choice.is_selected]
    if not chosen:
        raise SourceError(
            f"none of {len(choices)} candidates satisfies the rules; lower QC_DISCOVERY_MIN_STARS or "
            "QC_DISCOVERY_MIN_MERGED, or widen QC_DISCOVERY_LANGUAGES"
        )
    rows = [
        raw_rows.repository_row(choice.repo, now, now.date())
        | {"is_selected": choice.is_selected, "selection_reason": choice.reason, "source": "discovery"}
        for choice in choices
    ]
    known = {row["repo_id"] for row in rows}
    earlier = _rows(warehouse, "selected_before", source.traits.forge)
    dropped = [
        dict.fromkeys(rows[0])
        | row
        | {"is_selected": False, "selection_reason": "no longer among the candidates"}
        | {"source": "discovery", "observed_at": now, "partition_date": now.date()}
        for row in earlier
        if row["repo_id"] not in known
    ]
    with warehouse.staging() as folder:
        files = raw_rows.write({"repositories": rows + dropped}, folder, "discovery")
        with warehouse.write() as connection:
            number = source.forge_number(connection)
            prepare_merging(connection)
            scope = Scope("discovery", (now.date(),), adds=True, forge=number)
            merge(connection, "repositories", list(files.values()), scope)
            connection.execute(
                sql_sections("ops/ingest_log")["entries"],
                {
                    "source": "discovery",
                    "repos": [qualified(source.traits.forge, "*")],
                    "repo_ids": [None],
                    "days": [now.date()],
                    "fingerprint": source.fingerprint(),
                    "status": "done",
                    "tables": ["repositories"],
                    "requests": source.client.spent.requests - before[0],
                    "points": source.client.spent.points - before[1],
                    "lines": 0,
                    "bad_lines": 0,
                    "rows": len(rows),
                    "started": started,
                    "finished": now_utc(),
                    "error": None,
                },
            )
            upsert(connection, "ops.ingest_log", "entries")
    return {"candidates": len(choices), "chosen": len(chosen), "dropped": len(dropped)}


def selected(warehouse: Warehouse, forge: str) -> tuple[str, ...]:
    """Names of the repositories that discovery chose on a forge, the most stars first.

    Raises:
        SourceError: if there are none.
    """
    names = tuple(row["name"] for row in _rows(warehouse, "selected", forge))
    if not names:
        raise SourceError(
            "no repositories to read: name some in QC_REPOS (owner/name, comma-separated), or run `qc discover`"
        )
    return names


def _rows(warehouse: Warehouse, section: str, forge: str) -> list[dict[str, Any]]:
    try:
        return warehouse.sql_file("sources/github", {"forge": forge}, section=section).to_dicts()
    except WarehouseMissingError:
        return []


def _choose(client: Client, settings: Settings, today: date, progress: Reporter) -> Iterator[Choice]:
    candidates = _candidates(client, settings, today, progress)
    since = today - timedelta(days=MERGED_WITHIN_DAYS)
    chosen = 0
    for start in range(0, len(candidates), _LOOK_AT_ONCE):
        if chosen >= settings.discovery_repos:
            return
        some = candidates[start : start + _LOOK_AT_ONCE]
        merged = counts(client, [f"repo:{repo['nameWithOwner']} is:pr is:merged merged:>={since}" for repo in some])
        for repo, count in zip(some, merged, strict=True):
            language = (repo["primaryLanguage"] or {}).get("name")
            facts = f"{repo['stargazerCount']:,} stars, {language}, pushed {repo['pushedAt'][:10]}, {count} merged"
            enough = count >= settings.discovery_min_merged
            fits = enough and chosen < settings.discovery_repos
            why = "" if fits else f" ({settings.discovery_min_merged} needed)" if not enough else " (list is full)"
            chosen += fits
            yield Choice(repo, fits, f"{facts} in {MERGED_WITHIN_DAYS} days{why}")
        progress("repositories chosen", chosen, settings.discovery_repos)


def _candidates(client: Client, settings: Settings, today: date, progress: Reporter) -> list[Mapping[str, Any]]:
    pushed = today - timedelta(days=settings.discovery_pushed_days)
    repositories: dict[int, Mapping[str, Any]] = {}
    for n, language in enumerate(settings.discovery_languages):
        rules = f'language:"{language}" pushed:>={pushed} archived:false fork:false sort:stars-desc'
        for repo in _search(client, rules, settings.discovery_min_stars, _MOST_STARS):
            if not (repo["isFork"] or repo["isArchived"] or repo["isPrivate"] or repo["isDisabled"] or repo["isEmpty"]):
                repositories[repo["databaseId"]] = repo
        progress("languages searched", n + 1, len(settings.discovery_languages))
    return sorted(repositories.values(), key=lambda repo: (-repo["stargazerCount"], repo["databaseId"]))


def _search(client: Client, rules: str, least: int, most: int) -> Iterator[Mapping[str, Any]]:
    """All repositories that satisfy the rules, the range of stars being halved until a search can show it whole."""
    query, cursor = f"{rules} stars:{least}..{most}", None
    while True:
        page = client.query([Part("discovery", {"query": query, "first": _PAGE, "after": cursor})]).data[0]
        if page["repositoryCount"] > _SEARCH_LIMIT and least < most:
            # Stars are spread over orders of magnitude, so the middle is the geometric one.
            middle = max(least, min(most - 1, int((max(least, 1) * most) ** 0.5)))
            yield from _search(client, rules, middle + 1, most)
            yield from _search(client, rules, least, middle)
            return
        yield from (node for node in page["nodes"] if node)
        info = page["pageInfo"]
        if not info["hasNextPage"] or info["endCursor"] in (None, cursor):
            return
        cursor = info["endCursor"]
