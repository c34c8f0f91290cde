"""The whole graph as a text, so that a change of it shows in review.

After a change that is meant: ``python -m tests.assets.test_definitions_snapshot > tests/assets/definitions.txt``
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from qc_assets.assets import tables
from qc_assets.definitions import build_definitions
from qc_assets.places import sql_root
from qc_assets.settings import load_settings
from qc_assets.store.schema import RAW_TABLES, sql_sections

SNAPSHOT = Path(__file__).with_name("definitions.txt")


def graph_lines(definitions: dg.Definitions) -> Iterator[str]:
    """One line for each asset, check, job, schedule and sensor."""
    repository = definitions.get_repository_def()
    graph = repository.asset_graph
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        properties = [f"group {node.group_name}", partitions(node.partitions_def), ", ".join(sorted(node.kinds))]
        yield f"asset {key.to_user_string()}: " + "; ".join(filter(None, properties))
    for check in sorted(graph.asset_check_keys):
        blocking = ", blocking" if graph.get(check).blocking else ""
        yield f"check {check.asset_key.to_user_string()}: {check.name}{blocking}"
    for job in sorted(repository.get_all_jobs(), key=lambda job: job.name):
        if job.name != "__ASSET_JOB":
            yield f"job {job.name}: {partitions(job.partitions_def) or 'not partitioned'}, {len(job.nodes)} steps"
    for schedule in sorted(repository.schedule_defs, key=lambda schedule: schedule.name):
        yield f"schedule {schedule.name}: {schedule.cron_schedule}, starts {schedule.job_name}"
    for sensor in sorted(repository.sensor_defs, key=lambda sensor: sensor.name):
        yield f"sensor {sensor.name}: {sensor.default_status.value.lower()} by default"


def partitions(definition: dg.PartitionsDefinition | None) -> str:
    """Daily, or the name of a set that grows."""
    if isinstance(definition, dg.DailyPartitionsDefinition):
        return "daily"
    return f"dynamic {definition.name}" if isinstance(definition, dg.DynamicPartitionsDefinition) else ""


def snapshot() -> str:
    """The graph of the demo, and what the graphs of GitHub and of a lake have beside or instead."""
    demo, github, lake = (
        list(graph_lines(build_definitions(load_settings(_env_file=None, **settings))))
        for settings in ({"source": "demo"}, {"source": "github"}, {"warehouse": "ducklake:/a/lake.ducklake"})
    )
    others, in_lake = ([line for line in graph if line not in demo] for graph in (github, lake))
    lines = [*demo, "", "With QC_SOURCE=github also, or instead:", *others]
    return "\n".join([*lines, "", "With a lake also, or instead:", *in_lake]) + "\n"


# The query of a step that is not the `rows` of its own file.
QUERIES = {"critique.filtered": ("critique/batches", "comments")}


def test_an_asset_comes_after_what_its_query_reads() -> None:
    graph = build_definitions(load_settings()).get_repository_def().asset_graph
    assets = {name: key for key in graph.get_all_asset_keys() if (name := table_of(graph, key))}
    queries = {name: (name.replace(".", "/"), "rows") for name in assets} | QUERIES
    files = {name: place for name, place in queries.items() if (sql_root() / f"{place[0]}.sql").is_file()}
    read = {
        name: set(re.findall(r"\b(?:raw|ops|ml|features|critique|reports)\.\w+\b", sql_sections(file).get(section, "")))
        for name, (file, section) in files.items()
    }
    # What the API was asked about comes in with the journal, of which ml.feedback is a part.
    read["features.pull_requests"].remove("ml.predictions")
    assert read["critique.filtered"] > {"ops.machine_accounts"}, "queries are read"
    late = {name: (tables & assets.keys()) - above(graph, name) - {name} for name, tables in read.items()}
    assert {name: missing for name, missing in late.items() if missing} == {}


def table_of(graph: Any, key: dg.AssetKey) -> str:
    """The table that an asset makes; empty if it makes none."""
    return str(graph.get(key).metadata.get("dagster/table_name", ""))


def above(graph: Any, name: str) -> set[str]:
    """All that an asset depends on, directly or not; the raw tables are loaded together."""
    found: set[dg.AssetKey] = set()
    waiting = [tables.key(name)]
    while waiting:
        parents = graph.get(waiting.pop()).parent_keys - found
        found |= parents
        waiting += parents
    names = {table_of(graph, key) for key in found}
    is_loaded = any(table.startswith("raw.") for table in names)
    return names | {f"raw.{table}" for table in RAW_TABLES if is_loaded}


def test_the_graph_is_the_reviewed_one() -> None:
    assert SNAPSHOT.read_text().splitlines() == snapshot().splitlines()


def test_every_asset_links_to_code_that_exists() -> None:
    graph = build_definitions(load_settings(source="github")).get_repository_def().asset_graph
    for key in graph.get_all_asset_keys():
        metadata = graph.get(key).metadata
        references = metadata["dagster/code_references"].code_references
        assert any(reference.file_path.endswith(".py") for reference in references), key
        assert all(Path(reference.file_path).is_file() for reference in references), key
        if metadata.get("dagster/table_name"):
            assert any(reference.file_path.endswith(".sql") for reference in references), key


if __name__ == "__main__":
    print(snapshot(), end="")  # noqa: T201
