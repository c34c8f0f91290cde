"""What a person types, and what it answers."""

import gzip
import json
import re
import subprocess
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from qc_assets.cli.runs import write_env_file
from qc_assets.settings import Settings


@pytest.mark.slow
def test_backfill_then_look_then_export(qc: Any, tmp_path: Path) -> None:
    first = qc("backfill", "--from", "2024-01-01", "--to", "2024-01-14", "--json")
    assert first.returncode == 0, first.stderr
    counts = json.loads(first.stdout)["rows"]
    assert counts["raw.pull_requests"] == 300

    answer = qc("sql", "SELECT count(*) AS n, max(created_at) AS newest FROM raw.pull_requests", "--json")
    assert json.loads(answer.stdout)[0]["n"] == 300
    shown = qc("sql", "SELECT number FROM raw.pull_requests ORDER BY ALL", "--limit", "3")
    assert "… more than 3 rows; raise --limit" in shown.stdout

    status = json.loads(qc("--json", "status").stdout)
    assert status["loads"][0]["days"] == 14
    assert {run["status"] for run in status["runs"]} == {"SUCCESS"}

    for file_format in ("csv", "parquet", "jsonl.gz"):
        done = qc("export", "raw.pull_requests", "--format", file_format)
        assert "300 rows of raw.pull_requests written to" in done.stdout.replace("\n", " ")
    assert pl.read_csv(tmp_path / "raw.pull_requests.csv").height == 300
    assert pl.read_parquet(tmp_path / "raw.pull_requests.parquet").height == 300
    lines = gzip.decompress((tmp_path / "raw.pull_requests.jsonl.gz").read_bytes()).splitlines()
    assert len(lines) == 300 and json.loads(lines[0])["repo_id"] < 0
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".raw")], "no half-written file is left"


def one_line_error(done: "subprocess.CompletedProcess[str]") -> str:
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


@pytest.mark.slow
def test_errors_are_one_line_that_says_how_to_mend(qc: Any) -> None:
    assert "run `qc demo` or `qc backfill`" in one_line_error(qc("sql", "SELECT 1"))
    assert "QC_SOURCE='gitlab'" in one_line_error(qc("status", QC_SOURCE="gitlab"))
    assert "no model p1; there is p0" in one_line_error(qc("train", "p1"))
    backwards = qc("backfill", "--from", "2024-02-01", "--to", "2024-01-01")
    assert "ends (2024-01-01) before it begins" in one_line_error(backwards)
    outside = qc("backfill", "--from", "2030-01-01", "--to", "2030-01-02")
    assert "days from 2024-01-01 to 2024-01-14; QC_END_DATE sets another end" in one_line_error(outside)
    nowhere = {"QC_SOURCE": "gharchive", "QC_GHARCHIVE_DIR": "/nowhere"}
    archive = qc("backfill", "--from", "2015-01-01", "--to", "2015-01-01", **nowhere)
    assert "/nowhere is not a folder" in one_line_error(archive)
    assert "Traceback" in qc("--debug", "train", "p1").stderr


@pytest.mark.slow
def test_sql_reads_and_does_not_write(qc: Any) -> None:
    assert qc("backfill", "--from", "2024-01-01", "--to", "2024-01-02").returncode == 0
    assert "read-only" in one_line_error(qc("sql", "DROP TABLE raw.users"))
    assert "nonsense" in one_line_error(qc("sql", "FROM raw.nonsense"))
    missing = one_line_error(qc("export", "raw.nonsense"))
    assert "no table raw.nonsense; there are" in missing
    assert "choose csv, parquet or jsonl.gz" in one_line_error(qc("export", "raw.users", "--format", "xls"))


def test_doctor_says_how_to_mend(qc: Any, tmp_path: Path) -> None:
    done = qc("doctor", "--json", QC_LOCK_TIMEOUT_S="1")
    findings = {row["what"]: row for row in json.loads(done.stdout)}
    assert findings["Python"]["ok"] and findings["disk"]["ok"]
    assert findings["DAGSTER_HOME"]["how to mend"].startswith("run `qc init`")
    assert done.returncode == 1
    broken = qc("doctor", QC_START_DATE="yesterday")
    assert "QC_START_DATE='yesterday'" in " ".join(broken.stdout.split()).replace("│", "")


def test_the_env_file_keeps_its_other_lines(make_settings: Any, tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("QC_SOURCE=demo\nDAGSTER_HOME=/old\nTOKEN=x\n")
    settings = make_settings()
    write_env_file(settings, env)
    assert env.read_text() == f"QC_SOURCE=demo\nDAGSTER_HOME={settings.home}/dagster\nTOKEN=x\n"
    env.unlink()
    write_env_file(settings, env)
    assert env.read_text() == f"DAGSTER_HOME={settings.home}/dagster\n"
    assert (settings.home / "dagster" / "dagster.yaml").is_symlink()


def test_help_names_every_command(qc: Any) -> None:
    text = qc("--help").stdout
    for command in ("demo", "backfill", "train", "sql", "status", "doctor", "export", "up", "init"):
        assert command in text


@pytest.mark.slow
def test_train_names_what_it_could_have_meant(qc: Any) -> None:
    both = one_line_error(qc("train", "p0", "--model-name", "close_in_7_days"))
    assert "MODEL is p0 and --model-name close_in_7_days: name one" in both
    unknown = one_line_error(qc("train", "--model-name", "resolution_time", "--candidates", "forest,neural"))
    assert "neural is none of linear, random_forest, svm, xgboost, lightgbm (candidates of resolution_time)" in unknown
    assert "no model p1" in one_line_error(qc("rollback", "p1"))


@pytest.mark.slow
def test_labels_are_imported_and_reported(qc: Any, tmp_path: Path) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("body,category\nTypo,documentation\nWhy?,nonsense\n")
    done = qc("labels", "import", str(file), "--json")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["imported"], report["by_category"]) == (1, {"documentation": 1})
    assert report["bad"][0][0] == 2
    shown = " ".join(qc("labels", "import", str(file)).stdout.split())
    assert "0 imported, 1 were known already, 1 left out" in shown
    assert "row 2: the category 'nonsense' is none of functional" in shown


@pytest.mark.slow
def test_train_some_candidates_under_a_name_then_roll_back(qc: Any, migrated_copy: Settings, tmp_path: Path) -> None:
    import mlflow

    same = {"QC_WAREHOUSE": str(migrated_copy.warehouse), "QC_DEMO_PRS": "900", "QC_DEMO_DAYS": "200"}
    options = ("--model-name", "resolution_time", "--candidates", "forest,linear", "--run-name", "mine", "--quick")
    # With the seed of before the model would be the same to the last digit, and make no version.
    done = qc("train", *options, QC_BOOTSTRAP_RESAMPLES="50", QC_SEED="7", **same)
    assert done.returncode == 0, done.stderr
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'home' / 'mlflow' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("resolution_time")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.level = 'training' AND run_name = 'mine'")
    children = client.search_runs(
        [experiment.experiment_id], f"tags.level = 'candidate' AND tags.mlflow.parentRunId = '{run.info.run_id}'"
    )
    assert {child.data.tags["candidate"] for child in children} == {"random_forest", "linear"}
    assert len({frozenset(child.data.metrics) for child in children}) == 1, "the same metric names everywhere"
    champion = client.get_model_version_by_alias("resolution_time", "champion").version
    other = {1: 2, 2: 1}[int(champion)]
    done = qc("rollback", "resolution_time", "--to", str(other), "--json", **same)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "model": "resolution_time", "champion_before": int(champion), "champion": other
    }  # fmt: skip
    assert int(client.get_model_version_by_alias("resolution_time", "champion").version) == other
    published = qc("publish", "--to", str(tmp_path / "out"), "--json", **same)
    assert published.returncode == 0, published.stderr
    found = {row["model"]: row["version"] for row in json.loads(published.stdout)["champions"]}
    assert found["resolution_time"] == other and found["p0"] == 1
    assert json.loads((tmp_path / "out" / "p0" / "latest_model.json").read_text())["version"] == 1
    alone = qc("publish", "--to", str(tmp_path / "out"), "--roll-back", "p0", **same)
    assert "no sound version of p0 before the latest" in one_line_error(alone)


@pytest.mark.slow
def test_a_training_that_trained_nothing_says_so_and_fails(qc: Any) -> None:
    assert qc("backfill", "--from", "2024-01-01", "--to", "2024-01-01").returncode == 0
    done = qc("train", "p0", "--quick")
    assert done.returncode == 1
    assert re.search(r"error: nothing was trained \(p0: \d+ labelled rows, at least 50 needed\)", one_line_error(done))
