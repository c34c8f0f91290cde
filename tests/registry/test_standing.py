"""Champions that people remove, move and roll back; versions that are the same; trainings that meet."""

import threading
from typing import Any

import mlflow
import numpy as np
import polars as pl
import pytest
import requests
from mlflow.exceptions import MlflowException

from qc_assets.errors import QcError
from qc_assets.registry import lifecycle
from qc_assets.registry.model_registry import Registry
from qc_assets.serving.champions import Champions, NoChampionError
from tests.learning.test_models import SMALL, later, rows
from tests.registry.conftest import ORIGIN, QUICK, first_rows, second_rows

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("without_figures")]


def train(registry: Registry, frame: Any, **more: Any) -> lifecycle.TrainingOutcome:
    return lifecycle.train_and_register(SMALL, frame, registry, QUICK, is_synthetic=False, origin=ORIGIN, **more)


def noisy(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows that say little: any model passes its gates on them, and none is good."""
    noise = pl.Series(np.random.default_rng(1).normal(0, 2.2, len(frame)))
    return frame.with_columns(log_lines=pl.col("log_lines") + noise)


def spoilt(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows whose later part is sound, while a model is mostly fitted to noise: it passes its gates, and is worse."""
    random = np.random.default_rng(0)
    coin = pl.Series(random.random(len(frame)) < 0.5)
    is_spoilt = pl.Series(random.random(len(frame)) < 0.85) & (pl.col("number") < 0.7 * len(frame))
    return frame.with_columns(passed=pl.when(is_spoilt).then(coin).otherwise("passed"))


def client_of(registry: Registry) -> Any:
    return mlflow.MlflowClient(registry.tracking_uri)


@pytest.mark.parametrize("removal", ["alias", "version", "registered model"])
def test_no_champion_is_not_never_had_one(trained_once: Registry, removal: str) -> None:
    registry = trained_once
    assert registry.standing("p0").removal is None
    client = client_of(registry)
    if removal == "alias":
        client.delete_registered_model_alias("p0", "champion")
    elif removal == "version":
        client.delete_model_version("p0", "1")
    else:
        client.delete_registered_model("p0")
    sentence = registry.standing("p0").removal
    assert sentence is not None and "version 1 of p0" in sentence and "qc rollback p0" in sentence
    outcome = train(registry, noisy(rows(1_200)), numbered_after=1)
    assert not outcome.decision.promote, outcome.decision.reason
    assert outcome.decision.reason.startswith("the champion was removed, and against version 1 ")
    outcome = train(registry, rows(1_300, seed=3, signal=4.0), numbered_after=1)
    assert outcome.decision.promote and "the champion was removed; compared with version 1" in outcome.decision.reason
    assert registry.standing("p0").removal is None


def test_a_removed_champion_stops_serving_and_health_says_so(
    trained_once: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("qc_assets.serving.champions.SPECS", {"p0": SMALL})
    registry, serving = trained_once, Champions(trained_once)
    with pytest.raises(NoChampionError, match="run `qc train p0`"):
        serving.of("p0")
    serving.refresh()
    assert serving.of("p0").version == 1
    client_of(registry).delete_registered_model_alias("p0", "champion")
    serving.refresh()
    assert serving.all() == []
    assert "lost the alias in MLflow: `qc rollback p0 --to 1` brings it back" in serving.troubles["p0"]
    with pytest.raises(NoChampionError, match="lost the alias in MLflow"):
        serving.of("p0")
    assert registry.roll_back("p0") == (None, 1), "back to what was removed"
    assert registry.standing("p0").decisions[-1].reason == "put back after it was removed in MLflow"
    assert serving.refresh() == ["p0"]
    assert serving.troubles == {}
    # Another model under the same number is another champion.
    client_of(registry).delete_registered_model("p0")
    train(registry, rows(1_000, seed=2))
    assert serving.refresh() == ["p0"]


def test_a_rollback_lasts_until_something_is_better(trained_twice: Registry) -> None:
    registry = trained_twice
    assert registry.roll_back("p0", 1) == (2, 1)
    twin = train(registry, second_rows())
    assert twin.logged is None and twin.decision.reason == "to the last digit the same as version 2"
    nearly = train(registry, second_rows()[1:])
    assert not nearly.decision.promote and "no gain over version 2" in nearly.decision.reason
    assert registry.version_of("p0", "champion") == 1
    better = train(registry, later(rows(1_500, seed=5, signal=9.0)))
    assert better.decision.promote, better.decision.reason
    registry.roll_back("p0", 2)
    assert [down.version for down in registry.standing("p0").taken_down] == [better.logged.version]  # type: ignore[union-attr]


def test_a_challenger_that_is_the_champion_makes_no_version(trained_once: Registry) -> None:
    registry = trained_once
    outcome = train(registry, first_rows())
    assert outcome.logged is None and not outcome.decision.promote
    assert outcome.decision.reason == "to the last digit the same as version 1"
    assert list(registry.standing("p0").versions) == [1]
    experiment = client_of(registry).get_experiment_by_name("p0").experiment_id
    runs = client_of(registry).search_runs([experiment], "tags.level = 'training'")
    assert runs[0].data.tags["decision"] == outcome.decision.reason, "the run is there to be looked at"


def test_the_later_of_two_trainings_is_compared_with_the_earlier(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    register, meeting = Registry.register, threading.Barrier(2, timeout=120)  # if the other one fails

    def register_together(self: Registry, *arguments: Any, **more: Any) -> Any:
        logged = register(self, *arguments, **more)
        meeting.wait()  # both have looked for a champion, and there was none
        return logged

    monkeypatch.setattr(Registry, "register", register_together)
    mlflow.set_tracking_uri(registry.tracking_uri)
    outcomes: list[lifecycle.TrainingOutcome] = []
    frames = (rows(1_200), spoilt(rows(1_200)))
    threads = [threading.Thread(target=lambda frame=frame: outcomes.append(train(registry, frame))) for frame in frames]
    registry.standing("p0")  # makes the store
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(outcomes) == 2
    decisions = registry.standing("p0").decisions
    assert decisions[0].before is None
    assert decisions[1].before == decisions[0].subject
    assert decisions[1].comparisons, "not another first version"


def test_what_cannot_be_rolled_back_says_why(registry: Registry, trained_once: Registry) -> None:
    with pytest.raises(QcError, match="p0 has no champion to roll back from"):
        registry.roll_back("p0")
    registry = trained_once
    with pytest.raises(QcError, match="version 1 of p0 replaced no other: name a version with --to"):
        registry.roll_back("p0")
    with pytest.raises(QcError, match="p0 has no version 7; there are 1"):
        registry.roll_back("p0", 7)
    with pytest.raises(QcError, match="version 1 of p0 is the champion already"):
        registry.roll_back("p0", 1)
    assert registry.version_of("p0", "champion") == 1


def test_an_unreadable_champion_blocks_no_training_and_an_absent_server_promotes_nothing(
    trained_twice: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = trained_twice
    newest = max(registry.artifact_root.rglob("bundle.json"), key=lambda path: path.stat().st_mtime)
    newest.write_text("{")
    outcome = train(registry, spoilt(rows(1_000)))
    assert not outcome.decision.promote, "version 1 can be loaded, and is better"
    load = Registry.load_reference
    for error in (
        requests.ConnectionError("away"),
        MlflowException("API request failed"),
        ConnectionRefusedError("away"),
    ):

        def fail(*arguments: Any, error: Exception = error) -> Any:
            raise error

        monkeypatch.setattr(Registry, "load_reference", fail)
        with pytest.raises(type(error)):
            train(registry, spoilt(rows(1_000, seed=8)))
        monkeypatch.setattr(Registry, "load_reference", load)
    assert registry.version_of("p0", "champion") == 2
