"""Who made real changes: `python -m benchmarks origins`, over aidev_pop, wfa and mathlib4 of ../shared/histories.

What the rules find stands beside who the collectors of aidev_pop say made each pull request, which nothing here is
given. The dumps have the last texts only, which are taken for those of the opening here, as the product would not; and
they hide logins, branches and trailers. So aidev_pop is asked twice: as it is, and with the accounts of programs named
in a file of rules, as a user would, if nearly all that their texts show is one agent's. Of people's histories of before
there were agents it counts who would be called one, with the days from which rules hold and without.
"""

import csv
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl

from benchmarks.measure import isolated
from benchmarks.real import HISTORIES

if TYPE_CHECKING:
    from qc_assets.store.warehouse import Warehouse

PEOPLES = ("wfa", "mathlib4")
MOST_CALLED_AGENTS = 0.01
_FEW, _NEARLY_ALL = 100, 0.9


def _loaded(folder: Path, state: Path) -> "Warehouse":
    from qc_assets.assets.partitions import days_between
    from qc_assets.settings import load_settings
    from qc_assets.sources.loading import load
    from qc_assets.sources.registry import open_source
    from qc_assets.store.warehouse import Warehouse

    shown = state / "files"
    shown.mkdir()
    for file in folder.glob("*.parquet"):
        if file.stem == "pull_requests":
            opened = pl.read_parquet(file).with_columns(opened_body=pl.col("body").fill_null(""))
            opened.write_parquet(shown / file.name)
        else:
            (shown / file.name).symlink_to(file)
    places = {"home": state / "home", "warehouse": state / "qc.duckdb", "_env_file": None}
    settings = load_settings(source="files", files_dir=shown, **places)
    store = Warehouse.from_settings(settings)
    load(store, open_source(settings), days_between(settings.first_date, settings.last_date))
    store.rebuild("ops/coverage", {"min_archive_completeness": settings.min_archive_completeness})
    return store


def _judge(store: "Warehouse", own: Path | None = None, *, dated: bool = True) -> None:
    from qc_assets.origin_rules import OriginRules, origin_rules
    from qc_assets.settings import load_settings

    settings = load_settings(_env_file=None)
    rules = origin_rules(own)
    if not dated:
        rules = OriginRules(tuple(replace(rule, since="") for rule in rules.rules))
    store.rebuild("ops/machine_accounts", settings.machine_parameters | {"agents": rules.machines})
    store.rebuild("features/pull_requests", settings.feature_parameters("pull_requests") | rules.parameters)
    store.rebuild("reports/funnel")


def agents(folder: str) -> None:
    """Print what is found of each agent's pull requests, and what is left of them on the way to p0."""
    with tempfile.TemporaryDirectory() as name:
        store = _loaded(Path(folder), Path(name))
        _judge(store)
        _print_found(store, Path(folder), "as the copy is")
        own = Path(name) / "rules.csv"
        named = store.query(
            "WITH shown AS (SELECT author_login, origin_agent, count(*) AS n FROM features.pull_requests "
            "JOIN raw.pull_requests USING (repo_id, number) WHERE author_is_bot AND origin_agent IS NOT NULL "
            "GROUP BY ALL) SELECT author_login, arg_max(origin_agent, n) FROM shown GROUP BY author_login "
            "HAVING sum(n) >= $few AND max(n) >= $share * sum(n)",
            {"few": _FEW, "share": _NEARLY_ALL},
        ).rows()
        with own.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(("matched_against", "pattern", "origin", "agent"))
            rows.writerows(("account", login, "agent", agent) for login, agent in named)
        _judge(store, own)
        _print_found(store, Path(folder), f"with {len(named)} accounts of programs named: {_listed(named)}")
        before = store.query("SELECT count(*) FILTER (author_is_bot) AS bots, count(*) AS n FROM raw.pull_requests")
        bots, everything = before.row(0)
        print(f"  before: {bots:,} of {everything:,} were thrown out as bots")
        for row in store.query("FROM reports.funnel ORDER BY position").iter_rows(named=True):
            told = ", ".join(f"{row[key]:,} {key.replace('_', ' ')}" for key in ("by_people", "assisted", "by_agents"))
            print(f"  {row['step']}: {row['pull_requests']:,} ({told}); dropped {row['dropped']:,}")


def _listed(named: list[tuple[str, str]]) -> str:
    return ", ".join(agent for _, agent in named) or "none"


def _print_found(store: "Warehouse", folder: Path, how: str) -> None:
    with store.read(unsafe=True) as connection:
        found = connection.execute(
            "SELECT said.agent, count(*), count(*) FILTER (told.origin IN ('agent', 'assisted')), "
            "count(*) FILTER (told.origin = 'agent'), count(*) FILTER (told.origin = 'automation'), "
            "count(*) FILTER (said.agent IN ('OpenAI_' || told.origin_agent, replace(told.origin_agent, ' ', '_'))) "
            "FROM read_parquet($file) AS said JOIN raw.repositories AS r ON lower(r.name) = lower(said.repo) "
            "JOIN features.pull_requests AS told ON told.repo_id = r.repo_id AND told.number = said.number "
            "GROUP BY said.agent ORDER BY said.agent",
            {"file": str(folder / "pull_requests.parquet")},
        ).fetchall()
    print(f"  {how}:")
    in_all = [sum(counts) for counts in list(zip(*found, strict=True))[1:]]
    for agent, n, both, agent_s, automation, named in [*found, ("all", *in_all)]:
        print(
            f"    {agent}: {n:,}; found {both:,} ({both / n:.1%}), by name {named:,}, as agents' {agent_s:,}; "
            f"taken for an automation {automation:,}"
        )


def people(folder: str) -> float:
    """Print who of a history of people would be called an agent; the share with all rules, whatever their days."""
    with tempfile.TemporaryDirectory() as name:
        store = _loaded(Path(folder), Path(name))
        share = 0.0
        for dated in (True, False):
            _judge(store, dated=dated)
            n, called, evidence = store.query(
                "SELECT count(*), count(*) FILTER (origin IN ('agent', 'assisted')), "
                "list(DISTINCT origin_evidence) FILTER (origin IN ('agent', 'assisted')) "
                "FROM features.pull_requests JOIN raw.pull_requests USING (repo_id, number) WHERE NOT author_is_bot"
            ).row(0)
            share = called / n
            print(
                f"  {'by the rules' if dated else 'by the rules without their days'}: {called:,} of {n:,} people's "
                f"called agents' or assisted ({share:.2%}) {list(evidence or ())}"
            )
        return share


def main() -> None:
    if not HISTORIES.is_dir():
        print(f"skipped: {HISTORIES} is not there")
        return
    print("\naidev_pop", flush=True)
    isolated(agents, str(HISTORIES / "aidev_pop"))
    shares = {}
    for name in PEOPLES:
        print(f"\n{name}", flush=True)
        shares[name], _, _ = isolated(people, str(HISTORIES / name))
    if max(shares.values()) > MOST_CALLED_AGENTS:
        sys.exit(f"more than {MOST_CALLED_AGENTS:.0%} of people's pull requests are called agents'")
