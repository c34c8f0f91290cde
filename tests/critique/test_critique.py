"""`qc critique` on the demo: Dagster's runs, the data set, and what is not done twice."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr

from qc_assets.assets.partitions import days_between
from qc_assets.cli.runs import open_instance
from qc_assets.critique.batches import Result
from qc_assets.critique.filter import CommentFilter
from qc_assets.critique.final_diffs import final_diffs
from qc_assets.critique.steps import diffs_batch, filter_batch, summarize_batch
from qc_assets.critique.summarize import method
from qc_assets.settings import Settings, load_settings
from qc_assets.sources.demo.source import DemoSource
from qc_assets.sources.loading import load
from qc_assets.store.warehouse import Warehouse
from tests.fakes.endpoint import FakeEndpoint

pytestmark = pytest.mark.slow
_LINES = 12_000


@dataclass
class Mined:
    """A warehouse after `qc critique`, with an endpoint that can be asked again."""

    settings: Settings
    store: Warehouse
    endpoint: FakeEndpoint
    environment: dict[str, str]
    document: dict[str, Any]

    def again(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "qc_assets.cli", "critique", "--json", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mined]:
    folder = tmp_path_factory.mktemp("critique")
    places = {"home": folder / "home", "warehouse": folder / "qc.duckdb", "_env_file": None}
    small = {"demo_prs": 200, "demo_days": 60, "start_date": date(2024, 1, 1)}
    settings = load_settings(**places, **small)
    store = Warehouse.from_settings(settings)
    load(store, DemoSource.from_settings(settings), days_between(settings.first_date, settings.last_date))
    # So much code that the branch that computes has something to do.
    file = DemoSource.from_settings(settings).folder() / "diffs.parquet"
    new_file = f"--- /dev/null\n+++ b/big.py\n@@ -0,0 +1,{_LINES} @@\n" + "+x = 1\n" * _LINES
    pl.read_parquet(file).with_columns(diff=pl.col("diff") + new_file).write_parquet(file)
    with FakeEndpoint(latency_s=0.12) as endpoint:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("QC_")}
        environment |= {
            "QC_HOME": str(settings.home),
            "QC_WAREHOUSE": str(settings.warehouse),
            "QC_DEMO_PRS": "200",
            "QC_DEMO_DAYS": "60",
            "QC_LLM_URL": endpoint.url,
            "QC_LLM_API_KEY": "k",
            "QC_LLM_MODEL": "m",
            "QC_LLM_PRICE_IN": "1",
            "QC_LLM_PRICE_OUT": "2",
        }
        harness = Mined(settings, store, endpoint, environment, {})
        answer = harness.again()
        assert answer.returncode == 0, answer.stderr
        harness.document = json.loads(answer.stdout)
        yield harness


def test_the_branches_take_less_than_their_sum(mined: Mined) -> None:
    with open_instance(mined.settings) as instance:
        (run,) = [record for record in instance.get_runs() if record.job_name == "critique"]
        steps = instance.get_run_step_stats(run.run_id)
    spans = {step.step_key: (step.start_time or 0.0, step.end_time or 0.0) for step in steps}
    branches = [spans["critique_summaries"], spans["critique_diffs"]]
    assert all(start >= spans["critique_filtered"][1] for start, _ in branches)
    together = max(end for _, end in branches) - min(start for start, _ in branches)
    assert together < 0.7 * sum(end - start for start, end in branches), spans


def test_what_the_author_changed_is_found_again(mined: Mined) -> None:
    truth = DemoSource.from_settings(mined.settings).truth("truth_comments")
    diffs = mined.store.query("FROM critique.diffs").join(truth, on="comment_id")
    shown = diffs.filter(pl.col("reason").is_null())
    assert len(shown) > 100 and shown["changed"].n_unique() == 2
    assert shown["changed"].equals(shown["changed_afterwards"].alias("changed"))
    assert set(diffs["reason"].drop_nulls()) <= {"lock", "vendored", "generated", "minified"}


def test_only_reviewers_teach_and_every_rejection_has_a_reason(mined: Mined) -> None:
    rows = mined.store.query(
        "SELECT filtered.*, in_reply_to_id, comments.author_id = prs.author_id AS is_own FROM critique.filtered "
        "INNER JOIN raw.review_comments AS comments USING (comment_id) "
        "INNER JOIN raw.pull_requests AS prs ON prs.repo_id = filtered.repo_id AND prs.number = filtered.number"
    )
    assert len(rows) == mined.store.query("SELECT count(*) FROM raw.review_comments").item()
    assert set(rows.filter("is_own")["reason"]) == {"own"}
    assert {None, "own", "polite", "unlike_critique", "duplicate"} <= set(rows["reason"])
    answers = rows.filter(pl.col("in_reply_to_id").is_not_null())
    assert answers["thread_id"].equals(answers["in_reply_to_id"].alias("thread_id"))
    funnel = {row["reason"]: row["comments"] for row in mined.document["funnel"]}
    assert sum(funnel.values()) == len(rows)


def test_each_discussion_is_summarized_once_and_paid_once(mined: Mined) -> None:
    threads = mined.store.query("SELECT DISTINCT thread_id FROM critique.filtered WHERE reason IS NULL")
    summaries = mined.store.query("FROM critique.summaries")
    assert set(summaries["thread_id"]) == set(threads["thread_id"])
    assert summaries["summary"].null_count() == 0 and set(summaries["outcome"]) == {"changed"}
    figures = json.loads(mined.store.query("SELECT figures FROM critique.log WHERE step = 'summaries'").item())
    assert figures["requests"] + figures["cached"] == len(threads)
    assert figures["cost"] == pytest.approx(figures["requests"] * (100 + 2 * 20) / 1e6)


def test_splits_share_neither_repository_nor_pull_request_nor_time(mined: Mined) -> None:
    rows = mined.store.query("FROM reports.critiques")
    assert set(rows["usefulness"]) == {"changed", "discussed", "unknown"}
    used = rows.filter(pl.col("split") != "left_out")
    splits = {name: part for (name,), part in used.group_by("split")}
    assert {"train", "validation"} <= set(splits)
    for name, part in splits.items():
        others = used.filter(pl.col("split") != name)
        assert part.join(others, on=["repo_id", "number"], how="semi").is_empty()
        assert part.join(others, on=["body", "hunk"], how="semi").is_empty()
        if name == "test":
            assert part.join(others, on="repo_id", how="semi").is_empty()
        if name != "train":
            assert splits["train"]["created_at"].max() < part["created_at"].min()


def test_the_files_are_chats_with_provenance_and_a_card(mined: Mined) -> None:
    folder = mined.settings.critiques_folder
    rows = mined.store.query("FROM reports.critiques")
    for split in ("train", "validation", "test"):
        expected = rows.filter(pl.col("split") == split).sort("created_at", "comment_id")
        chats = [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]
        assert [chat["provenance"]["comment_id"] for chat in chats] == expected["comment_id"].to_list()
        assert pl.read_parquet(folder / f"{split}.parquet")["comment_id"].to_list() == expected["comment_id"].to_list()
        for chat in chats:
            assert [message["role"] for message in chat["messages"]] == ["system", "user", "assistant"]
            assert chat["provenance"]["repo"] and chat["provenance"]["source"] == "demo"
    card = (folder / "README.md").read_text()
    for phrase in ("Synthetic data", "## Languages", "MIT", "Apache-2.0", "| own |", "| polite |"):
        assert phrase in card
    sizes = {row["split"]: row["critiques"] for row in mined.document["sizes"]}
    assert ("There is no test split" in card) == ("test" not in sizes)
    assert sum(sizes.values()) == len(rows)


def test_a_new_comment_costs_one_summary_and_nothing_else_is_done_again(mined: Mined) -> None:
    log = "SELECT step, finished_at, status FROM critique.log ORDER BY step"
    before, requests = mined.store.query(log), len(mined.endpoint.seen)
    endpoint = {name: mined.environment[f"QC_{name.upper()}"] for name in ("llm_url", "llm_api_key", "llm_model")}
    settings = mined.settings.model_copy(update=endpoint | {"llm_api_key": SecretStr("k")})

    def mine() -> list[Result]:
        judge = CommentFilter.from_settings(settings)
        with final_diffs(settings) as final:
            return [
                filter_batch(mined.store, "batch_0001", judge, settings),
                summarize_batch(mined.store, "batch_0001", method(settings), settings),
                diffs_batch(mined.store, "batch_0001", final, settings),
            ]

    assert all(result.was_done for result in mine())
    assert mined.store.query(log).equals(before)
    with mined.store.write() as connection:
        connection.execute(
            "INSERT INTO raw.review_comments BY NAME SELECT comments.* REPLACE (comment_id - 10000000 AS comment_id, "
            "NULL AS in_reply_to_id, 'The mutex of `spooler` must be taken before the second read.' AS body) "
            "FROM raw.review_comments AS comments INNER JOIN critique.diffs USING (comment_id) "
            "WHERE reason IS NULL ORDER BY comment_id LIMIT 1"
        )
    mined.endpoint.answers = [400]
    assert not any(result.was_done for result in mine())
    assert len(mined.endpoint.seen) == requests + 1
    mined.store.rebuild("reports/critique_errors")
    (error,) = mined.store.query("FROM reports.critique_errors").to_dicts()
    assert (error["batch"], error["step"], error["error_type"]) == ("batch_0001", "summaries", "BadRequestError")
    assert set(mined.store.query(log)["status"]) == {"done"}, "asking the same again would not help"
