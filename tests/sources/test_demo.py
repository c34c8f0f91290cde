from datetime import date

import numpy as np
import polars as pl
import pytest

from qc_assets.assets.partitions import days_between
from qc_assets.errors import SourceError
from qc_assets.sources.demo.generated import generate
from qc_assets.sources.demo.source import DemoSource
from qc_assets.sources.loading import load
from qc_assets.store.schema import RAW_TABLES
from qc_assets.store.warehouse import Warehouse


@pytest.fixture(scope="module")
def world() -> dict[str, pl.DataFrame]:
    return generate(3_000, 90, date(2024, 1, 1), 7)


def test_the_same_seed_gives_the_same_world_and_another_seed_another(world: dict[str, pl.DataFrame]) -> None:
    again, other = generate(3_000, 90, date(2024, 1, 1), 7), generate(3_000, 90, date(2024, 1, 1), 8)
    for table, frame in world.items():
        columns = sorted(frame.columns)
        assert frame.select(columns).sort(columns).equals(again[table].select(columns).sort(columns)), table
    assert not world["truth"].equals(other["truth"])


def test_verdicts_are_draws_from_the_true_probability(world: dict[str, pl.DataFrame]) -> None:
    truth = world["truth"]
    z = (truth["passed"].cast(float) - truth["p0"]) / (truth["p0"] * (1 - truth["p0"])).sqrt()
    assert abs(z.mean()) < 4 / np.sqrt(truth.height)
    assert 0.9 < z.std() < 1.1


def test_the_truth_reaches_no_table(world: dict[str, pl.DataFrame]) -> None:
    columns = {name for table in RAW_TABLES for name in world[table].columns}
    assert not columns & {"p0", "passed", "skill", "culture", "prior"}


def test_it_has_what_a_github_has(world: dict[str, pl.DataFrame]) -> None:
    prs, reviews = world["pull_requests"].unique(["repo_id", "number"]), world["reviews"]
    assert 0.03 < prs["author_is_bot"].mean() < 0.10
    assert prs["opened_is_draft"].sum() > 0
    assert set(reviews["state"]) == {"APPROVED", "CHANGES_REQUESTED", "COMMENTED", "DISMISSED"}
    weekday = prs["created_at"].dt.weekday().value_counts().sort("created_at")["count"]
    assert weekday[:5].min() > weekday[5:].max()
    numbers = pl.concat([frame.select("repo_id", "number").unique() for frame in (prs, world["issues"])])
    assert numbers.is_unique().all()
    gaps = numbers.group_by("repo_id").agg(pl.col("number").max() - pl.len())["number"]
    assert set(gaps) == {0}, "numbers of a repository are consecutive"


def test_it_is_as_bad_as_a_github(world: dict[str, pl.DataFrame]) -> None:
    prs = world["pull_requests"].sort("partition_date").unique(["repo_id", "number"], keep="last")
    people = prs.filter(~pl.col("author_is_bot"))
    small = (people["opened_additions"] + people["opened_deletions"] < 10).mean()
    assert 0.32 < small < 0.42
    assert people["author_id"].is_null().any()
    prefixes = people["opened_title"].str.extract(r"^(\w+): ").drop_nulls().unique()
    assert {"doc", "ci", "qt"} <= set(prefixes)
    assert (people["title"] != people["opened_title"]).sum() > 50
    minutes = (
        world["label_events"]
        .join(prs, on=["repo_id", "number"])
        .select((pl.col("created_at") - pl.col("created_at_right")).dt.total_minutes())
        .to_series()
    )
    assert minutes.is_between(1, 60).mean() > 0.1
    known = people.with_columns(
        known=pl.col("opened_sizes_from").is_not_null(), merged=pl.col("merged_at").is_not_null()
    )
    assert known.filter("known")["opened_commits"].is_not_null().all()
    assert known.filter(~pl.col("known"))["opened_additions"].null_count() == (~known["known"]).sum()
    assert 0.005 < 1 - known["known"].mean() < 0.05
    pushed = known.with_columns(pushed=pl.col("opened_sizes_from").fill_null("lost") != "commits").group_by("pushed")
    passed = dict(pushed.agg(pl.col("merged").mean()).iter_rows())
    assert passed[True] > passed[False] + 0.02, "what is force-pushed gets merged more often"


def test_all_ids_are_negative_so_that_nothing_is_taken_for_github(world: dict[str, pl.DataFrame]) -> None:
    for table in RAW_TABLES:
        ids = [name for name in world[table].columns if name.endswith("_id")]
        assert all((world[table][name].drop_nulls() < 0).all() for name in ids), table


def test_days_outside_of_the_world_are_refused(make_settings) -> None:
    settings = make_settings()
    source = DemoSource.from_settings(settings)
    with pytest.raises(SourceError, match=r"no 2025-01-01: it runs from 2024-01-01 to 2024-02-29"):
        load(Warehouse.from_settings(settings), source, [date(2025, 1, 1)])


@pytest.mark.slow
def test_loading_in_any_pieces_gives_the_same_tables(make_settings, tmp_path) -> None:
    settings = make_settings()
    source = DemoSource.from_settings(settings)
    days = days_between(settings.first_date, settings.last_date)
    whole, pieces = (Warehouse(tmp_path / f"{name}.duckdb", staging=tmp_path / name) for name in ("whole", "pieces"))
    load(whole, source, days)
    for part in (days[40:], days[:15], days[10:45]):
        load(pieces, source, part)
    names = [f"raw.{table}" for table in RAW_TABLES]
    assert whole.snapshot(names) == pieces.snapshot(names)
    assert whole.query("SELECT count(*) FROM raw.pull_requests").item() == 300


@pytest.mark.slow
def test_a_day_that_fails_on_purpose_costs_only_itself_and_can_be_mended(make_settings, tmp_path) -> None:
    sound = DemoSource.from_settings(make_settings())
    broken = DemoSource.from_settings(make_settings(demo_broken_day="2024-01-03"))
    days = days_between(date(2024, 1, 2), date(2024, 1, 5))
    never, mended = Warehouse(tmp_path / "never.duckdb"), Warehouse(tmp_path / "mended.duckdb")
    load(never, sound, days)
    load(mended, broken, days)
    logged = "SELECT partition_date, status, error FROM ops.ingest_log ORDER BY 1"
    statuses = mended.query(logged)
    assert statuses["status"].to_list() == ["done", "failed", "done", "done"]
    assert "QC_DEMO_BROKEN_DAY" in statuses["error"][1]
    tables = [f"raw.{table}" for table in RAW_TABLES]
    assert mended.snapshot(tables) != never.snapshot(tables)
    assert load(mended, sound, days).loaded == [date(2024, 1, 3)], "only what failed is read again"
    assert mended.snapshot(tables) == never.snapshot(tables)
    assert set(mended.query(logged)["status"]) == {"done"}


def test_another_world_replaces_the_old_one_instead_of_mixing_with_it(make_settings) -> None:
    first, second = make_settings(), make_settings(demo_prs=200, seed=5)
    warehouse = Warehouse.from_settings(first)
    load(warehouse, DemoSource.from_settings(first), days_between(first.first_date, first.last_date))
    load(warehouse, DemoSource.from_settings(second), days_between(second.first_date, second.last_date)[:10])
    newest = warehouse.query("SELECT max(created_at) FROM raw.pull_requests").item()
    assert newest.date() <= date(2024, 1, 10)


def test_a_repository_filter_loads_that_repository_only(make_settings) -> None:
    settings = make_settings()
    warehouse, source = Warehouse.from_settings(settings), DemoSource.from_settings(settings)
    days = days_between(settings.first_date, settings.last_date)
    load(warehouse, source, days, repos=("acme/atlas",))
    assert warehouse.query("SELECT DISTINCT name FROM raw.repositories")["name"].to_list() == ["acme/atlas"]
    assert warehouse.query("SELECT count(DISTINCT repo_id) FROM raw.pull_requests").item() == 1
    with pytest.raises(SourceError, match="no repository no/such"):
        load(warehouse, source, days, repos=("no/such",))
