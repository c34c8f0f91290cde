"""docs/extending.md, "A raw table": four files, with a snapshot and a test, and its rows land through a source."""

import json
from pathlib import Path

import pytest

from tests.recipes.cookbook import Kitchen

PROGRAM = """
import json
import pytest
from qc_assets.definitions import defs

code = pytest.main([
    "-q", "-p", "no:cacheprovider", "tests/sources/test_stars.py",
    "tests/assets/test_definitions_snapshot.py::test_the_graph_is_the_reviewed_one",
])
import dagster as dg
spec = defs.resolve_asset_graph().get(dg.AssetKey("raw_stars"))
columns = [column.name for column in spec.metadata["dagster/column_schema"].columns]
partitioned = type(spec.partitions_def).__name__
print(json.dumps({"tests": int(code), "partitions": partitioned, "columns": columns, "described": spec.description}))
"""


@pytest.mark.slow
def test_a_raw_table_takes_four_files(tmp_path: Path) -> None:
    kitchen = Kitchen(tmp_path)
    kitchen.carry_out("A raw table")
    assert kitchen.changed_files() == [
        "tests/assets/definitions.txt",
        "tests/sources/test_stars.py",
        "warehouse/raw/stars.sql",
        "warehouse/sources/gharchive.sql",
    ]
    seen = json.loads(kitchen.run(PROGRAM).splitlines()[-1])
    assert seen["tests"] == 0, "the test of the recipe, and the snapshot of the graph"
    assert seen["partitions"] == "DailyPartitionsDefinition"
    assert seen["columns"] == ["repo_id", "user_id", "starred_at", "source", "observed_at", "partition_date"]
    assert seen["described"] == "One row an account that starred a repository"
