"""MLflow's store: made once by whoever comes first, mended if it was never finished, and a server that is away."""

import multiprocessing
import socket
import sqlite3
from collections.abc import Callable
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from qc_assets.errors import QcError
from qc_assets.models.specs import SPECS
from qc_assets.registry import local_store
from qc_assets.registry.model_registry import Registry
from qc_assets.registry.tracking_server import TrackingServerAwayError
from qc_assets.serving.champions import Champions
from qc_assets.settings import Settings
from tests.empty_stores import make_mlflow_store


@pytest.fixture(autouse=True)
def _stores_are_made_by_mlflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_store, "_make", make_mlflow_store)


def open_registry(folder: Path) -> Registry:
    return Registry(f"sqlite:///{folder / 'mlflow.db'}", folder / "artifacts")


def open_all(folders: list[Path], together: Barrier, answers: "multiprocessing.Queue[str]") -> None:
    for folder in folders:
        together.wait(60)
        try:
            answers.put(f"{open_registry(folder).version_of('p0', 'champion')}")
        except Exception as error:  # noqa: BLE001  # told to the test
            answers.put(repr(error))


@pytest.mark.slow
def test_pairs_of_processes_open_fresh_stores_at_once(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    folders = [tmp_path / f"home {n}" for n in range(2)]
    together, answers = spawn.Barrier(2), spawn.Queue()
    pair = [spawn.Process(target=open_all, args=(folders, together, answers)) for _ in range(2)]
    for process in pair:
        process.start()
    assert [answers.get(timeout=120) for _ in range(4)] == ["None"] * 4
    for process in pair:
        process.join()


def test_a_store_that_was_never_finished_is_made_anew_and_another_one_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = tmp_path / "mlflow.db"
    for leftover in ("", "CREATE TABLE experiments (experiment_id INTEGER); CREATE TABLE metrics (key TEXT);"):
        with closing(sqlite3.connect(database)) as killed:
            killed.executescript(leftover or "CREATE TABLE x (n); DROP TABLE x;")
        (tmp_path / "draft.db").write_bytes(b"half of it")
        assert open_registry(tmp_path).version_of("p0", "champion") is None
        assert not (tmp_path / "draft.db").exists()
        database.unlink()
    assert len(list(tmp_path.glob("mlflow.db.unfinished-*"))) == 2

    open_registry(tmp_path).version_of("p0", "champion")
    with closing(sqlite3.connect(database)) as upgraded, upgraded:
        upgraded.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    with pytest.raises(QcError, match=r"another version of MLflow .schema ffffffffffff.: run `qc migrate`"):
        open_registry(tmp_path).version_of("p0", "champion")
    database.write_bytes(b"no database at all" * 1000)
    with pytest.raises(QcError, match=r"is broken .*put a copy of it in its place"):
        open_registry(tmp_path).version_of("p0", "champion")


def test_a_kill_while_a_store_is_made_leaves_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            local_store.make_store(tmp_path / "mlflow.db", tmp_path / "artifacts")
    assert not (tmp_path / "mlflow.db").exists()
    local_store.make_store(tmp_path / "mlflow.db", tmp_path / "artifacts")


def test_a_server_that_is_away_is_named_at_once_and_the_champions_go_on(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hangs and one that refuses: it is asked once, not once a model and again for minutes."""
    with socket.socket() as hangs:
        hangs.bind(("127.0.0.1", 0))
        hangs.listen(100)
        uri = f"http://127.0.0.1:{hangs.getsockname()[1]}"
        champions = Champions(Registry(uri, Path("/nowhere")))
        champion: Any = type("Champion", (), {"model": "p0", "version": 1})()
        champions._serving = {"p0": champion}
        assert champions.refresh() == [] and champions.of("p0") is champion
        assert all(f"the MLflow server at {uri} does not answer" in why for why in champions.troubles.values())
        assert champions.troubles.keys() == {spec.name for spec in SPECS}
        hangs.settimeout(1)
        hangs.accept()[0].close()
        with pytest.raises(TimeoutError):
            hangs.accept()
    monkeypatch.setattr("qc_assets.registry.tracking_server._FRESH_S", 0)
    with pytest.raises(TrackingServerAwayError, match="start it, or correct QC_MLFLOW_TRACKING_URI"):
        Registry(uri, Path("/nowhere")).version_of("p0", "champion")


def test_the_experiment_of_mlflows_own_is_shown_only_if_something_is_in_it(tmp_path: Path) -> None:
    registry = open_registry(tmp_path)
    client = registry.client()
    assert client.search_experiments() == [] and client.get_experiment("0").lifecycle_stage == "deleted"
    client.restore_experiment("0")
    client.create_run("0")
    local_store.hide_empty_default(tmp_path / "mlflow.db")
    assert [experiment.name for experiment in client.search_experiments()] == ["Default"]


def test_nobody_is_told_of_what_mlflow_does_here() -> None:
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()
