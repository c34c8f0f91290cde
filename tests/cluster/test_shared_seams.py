"""What was silently wrong with a second machine: whose dagster.yaml it is, where models go, who spends what."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from qc_assets.cli.runs import dagster_home, open_instance, own_dagster_yaml
from qc_assets.critique.language_model import LanguageModel
from qc_assets.errors import QcError
from qc_assets.places import dagster_config
from qc_assets.registry.mlflow_store import MlflowStore
from qc_assets.registry.model_registry import Logged, Registry
from qc_assets.registry.standing import RecordedDecision, VersionReference
from qc_assets.settings import Settings
from qc_assets.shared_database import SharedDatabase
from qc_assets.sources.github.state import Budget, State
from tests.critique.test_critique_parts import FakeEndpoint, endpoint, model, talk  # noqa: F401

NOTE = {"mlflow.note.content": "x"}


def test_a_dagster_yaml_of_ones_own_stays(make_settings: Callable[..., Settings], tmp_path: Path) -> None:
    settings = make_settings()
    assert own_dagster_yaml(settings) is None
    link = dagster_home(settings) / "dagster.yaml"
    assert link.readlink() == dagster_config("dagster.yaml") and own_dagster_yaml(settings) is None
    moved = tmp_path / "another_checkout.yaml"
    moved.write_text(dagster_config("dagster.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    link.unlink()
    link.symlink_to(moved)
    dagster_home(settings)
    assert link.readlink() == dagster_config("dagster.yaml"), "ours, of another checkout"
    link.unlink()
    link.write_text("telemetry:\n  enabled: false\n", encoding="utf-8")
    with open_instance(settings) as instance:
        assert type(instance.run_launcher).__name__ == "DefaultRunLauncher", "what the user's file says"
    assert own_dagster_yaml(settings) == link and link.read_text(encoding="utf-8").startswith("telemetry")
    theirs = tmp_path / "theirs.yaml"
    link.rename(theirs)
    link.symlink_to(theirs)
    dagster_home(settings)
    assert link.readlink() == theirs


def test_a_lost_database_of_dagsters_is_named_without_its_password(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings()
    path = settings.home / "dagster" / "dagster.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "storage:\n  postgres:\n    postgres_url: postgresql+psycopg2://qc:very-secret@127.0.0.1:1/dagster\n", "utf-8"
    )
    with pytest.raises(QcError, match=r"(?s)dagster.yaml says cannot be used: .*Start its database") as refused:
        open_instance(settings)
    assert "very-secret" not in str(refused.value)


@pytest.mark.parametrize("artifacts", ["", "a folder", "s3://bucket/models"])
def test_models_go_to_a_stated_place_or_nowhere(
    shared_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, artifacts: str
) -> None:
    monkeypatch.chdir(tmp_path)
    place = str(tmp_path / "models") if artifacts == "a folder" else artifacts
    store = MlflowStore(shared_url, tmp_path / "unused", artifacts=place or None)
    if not artifacts:
        with pytest.raises(
            QcError, match=r"a database keeps no files. Name a place (?s:.*)QC_MLFLOW_ARTIFACTS"
        ) as refused:
            store.experiment(store.client(), "p0", NOTE)
        assert "p%40ss" not in str(refused.value)
        return
    client = store.client()
    identity = store.experiment(client, "p0", NOTE)
    assert store.experiment(client, "p0", NOTE) == identity
    expected = f"{Path(place).as_uri()}/p0" if artifacts == "a folder" else f"{artifacts}/p0"
    assert client.get_experiment(identity).artifact_location == expected
    if artifacts == "a folder":
        store.publish("p0", "page", "<p>seen</p>", {})
        assert [path.read_text() for path in Path(place).rglob("page.html")] == ["<p>seen</p>"]
    assert not list(tmp_path.rglob("mlruns")) or not any(files for _, _, files in os.walk(tmp_path / "mlruns"))


def test_what_is_said_of_a_version_fits_into_a_database_that_counts(shared_url: str, tmp_path: Path) -> None:
    registry = Registry(shared_url, tmp_path / "unused", artifacts=str(tmp_path / "models"))
    client = registry.client()
    identity = registry.experiment(client, "p0", NOTE)
    run = client.create_run(identity)
    client.create_registered_model("p0")
    client.create_model_version("p0", source=run.info.artifact_uri, run_id=run.info.run_id)
    version = VersionReference(1, run.info.run_id)
    for number in range(4):
        told = RecordedDecision(
            version, datetime(2024, 1, 1 + number), "training", True, version, "worse*, über " * 2_000
        )
        registry.conclude("p0", Logged(run.info.run_id, identity, 1), told, f"# Card {number}\n" * 4_000)
        registry.describe("p0")
        description = client.get_model_version("p0", "1").description
        assert len(description) <= 5_000 and description.count("---") == 1 and "model card" in description
        assert description.endswith("model_card.md of the run.*\n") and f"# Card {number}\n" in description
    assert [decision.decided_at.day for decision in registry.standing("p0").decisions] == [1, 2, 3, 4]
    with pytest.raises(QcError, match="room for 120 characters"):
        MlflowStore(shared_url, tmp_path, artifacts=f"s3://bucket/{'x' * 150}").experiment(client, "other", NOTE)


def test_two_machines_spend_one_budget(shared: SharedDatabase, tmp_path: Path) -> None:
    first, second = (State(tmp_path / name / "state.db", shared) for name in "ab")
    assert first.budget("token") == Budget()
    for remaining in (5_000, 17):
        first.save_budget("token", Budget(remaining, 5_000, strikes=2))
        assert second.budget("token") == Budget(remaining, 5_000, strikes=2)
    second.save_page_size("a/b", "issues", 50, 3)
    assert first.page_size("a/b", "issues") is None, "what a machine has under way is its own"
    alone = State(tmp_path / "c" / "state.db")
    assert alone.budget("token") == Budget()


def test_two_machines_have_one_ceiling(
    endpoint: FakeEndpoint,  # noqa: F811
    shared: SharedDatabase,
    tmp_path: Path,
) -> None:
    endpoint.counts_tokens = False  # then what it may have cost is counted
    prices: dict[str, Any] = {"price_in": 1e3, "price_out": 1e3, "ceiling": 4.0, "shared": shared}
    machines: list[LanguageModel] = [model(endpoint, tmp_path / name, **prices) for name in "ab"]
    with ThreadPoolExecutor(2) as pool:
        attempts = [
            one for many in pool.map(lambda one: one.summarize([talk(n) for n in range(9)]), machines) for one in many
        ]
    assert {attempt.error_type for attempt in attempts} == {"", "ceiling"}
    assert 0 < sum(machine.spent.cost for machine in machines) <= 4.0
    alone = model(endpoint, tmp_path / "c", **(prices | {"shared": None}))
    assert any(attempt.summary for attempt in alone.summarize([talk(99)]))
