"""Exported champions: verifiable files in a folder and in S3, and a reader that does not take broken ones."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from qc_assets.assets.resources import RegistryResource
from qc_assets.errors import QcError
from qc_assets.learning.bundle import Bundle
from qc_assets.learning.task import dataset_of
from qc_assets.learning.training import train
from qc_assets.models.p0 import SPEC
from qc_assets.registry.export_place import LATEST, ExportError, Place
from qc_assets.registry.lifecycle import bundle_of_training
from qc_assets.registry.model_files import (
    others_of,
    read_soundest_version,
    read_version,
    roll_back_export,
)
from qc_assets.serving import publish
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse
from tests.learning.test_models import SMALL, rows
from tests.registry.conftest import QUICK, exported


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket="models")
    yield url
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Any) -> Place:
    if request.param == "folder":
        return Place(str(tmp_path / "export"))
    return Place(f"s3://models/{tmp_path.name}", request.getfixturevalue("s3"))


@pytest.fixture(scope="module")
def p0() -> Bundle:
    """A small one, as files are looked at here."""
    trained = train(SMALL, dataset_of(SMALL, rows(700)), QUICK)
    return bundle_of_training(SMALL, trained, is_synthetic=True)


@pytest.fixture(autouse=True, scope="module")
def _aws() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        yield


def test_what_is_exported_is_read_back_and_twice_is_once(place: Place, p0: Bundle) -> None:
    assert exported(place, p0, 1, {"metrics": {"roc_auc": 0.7}})
    assert not exported(place, p0, 1, {"metrics": {"roc_auc": 0.7}}), "nothing new"
    assert exported(place, p0, 2, {})
    assert place.versions("p0") == [2, 1]
    found = read_version(place, "p0")
    assert found.version == 2 and read_version(place, "p0", 1).document["metrics"] == {"roc_auc": 0.7}
    openings = rows(50)
    np.testing.assert_array_equal(found.bundle.predict(openings), p0.predict(openings))
    assert {"version", "sha256", "files", "folder", "model"} <= set(found.document)


def test_another_registrys_version_of_the_same_number_is_another(place: Place, p0: Bundle) -> None:
    assert exported(place, p0, 1, {"run_id": "of-the-old"})
    assert exported(place, p0, 1, {"run_id": "of-the-new"})
    assert not exported(place, p0, 1, {"run_id": "of-the-new"})
    assert read_version(place, "p0").document["run_id"] == "of-the-new" and place.versions("p0") == [2, 1]
    assert roll_back_export(place, "p0") == 1
    assert read_version(place, "p0").document["run_id"] == "of-the-old"


def test_a_broken_version_is_noticed_and_passed_over(place: Place, p0: Bundle) -> None:
    for version in (1, 2, 3):
        exported(place, p0, version, {})
    name = next(iter(read_version(place, "p0", 3).document["files"]))
    place.write(f"p0/history/3/{name}", b"something else")
    with pytest.raises(ExportError, match=f"{name} of p0 version 3 has other contents"):
        read_version(place, "p0")
    found = read_soundest_version(place, "p0")
    assert found.version == 2 and "other contents" in found.troubles[0]
    assert roll_back_export(place, "p0") == 2 and read_version(place, "p0").version == 2
    assert roll_back_export(place, "p0") == 1
    with pytest.raises(ExportError, match="no sound version of p0 before the latest"):
        roll_back_export(place, "p0")
    with pytest.raises(ExportError, match="version 3"):
        roll_back_export(place, "p0", 3)
    assert read_version(place, "p0").version == 1, "a refused roll back changes nothing"
    assert exported(place, p0, 3, {}), "and what is broken is written again"
    assert read_version(place, "p0").version == 3
    place.write(f"p0/{LATEST}", b"{")
    assert read_soundest_version(place, "p0").version == 3
    with pytest.raises(ExportError, match="broken"):
        read_version(place, "p0")


def test_a_document_cannot_lead_out_of_its_folder(place: Place, p0: Bundle) -> None:
    exported(place, p0, 1, {})
    document = dict(read_version(place, "p0").document)
    document["files"] = {"../../../elsewhere": {"sha256": hashlib.sha256(b"").hexdigest(), "bytes": 0}}
    line = f"../../../elsewhere:{hashlib.sha256(b'').hexdigest()}\n"
    document["sha256"] = hashlib.sha256(line.encode()).hexdigest()
    for name in (f"p0/{LATEST}", "p0/history/1/model.json"):
        place.write(name, json.dumps(document).encode())
    with pytest.raises(ExportError, match="outside of its folder"):
        read_version(place, "p0")


def test_every_champion_and_all_predictions_go_out(s3: str, main_run: Any, tmp_path: Any) -> None:
    settings, place = main_run[0], Place("s3://models/champions", s3)
    store, registry = Warehouse.from_settings(settings), RegistryResource.from_settings(settings).open()
    first = publish.champions(place, store, registry)
    assert [row["model"] for row in first if row["is_new"]] == [
        "p0", "resolution_time", "close_in_7_days", "comment_category", "first_response",
    ]  # fmt: skip
    assert not any(row["is_new"] for row in publish.champions(place, store, registry))
    document = read_version(place, "p0").document
    assert document["metrics"]["roc_auc"]["value"] > 0.5 and document["window"]["train_rows"] > 0
    assert document["features"][: len(SPEC.features)] == list(SPEC.features)
    counts = {row["model"]: row["rows"] for row in publish.predictions(place, store)}
    (tmp_path / "p0.parquet").write_bytes(place.read("predictions/p0.parquet"))
    written = pl.read_parquet(tmp_path / "p0.parquet")
    assert len(written) == counts["p0"] == store.query("SELECT count(*) FROM ml.predictions WHERE model = 'p0'").item()


def test_the_main_job_exports_what_it_promotes(main_run: Any) -> None:
    settings, result = main_run
    place = Place.from_settings(settings)
    assert read_version(place, "p0").version == 1 and len(place.read("predictions/p0.parquet")) > 1_000
    assert result.checks["reports_payouts: payouts_add_up"][0]
    assert result.checks["ops_journal_imports: nothing_was_lost"][0]


def test_places_that_do_not_exist_are_named(tmp_path: Any) -> None:
    with pytest.raises(ExportError, match=r"has no p0/latest_model\.json: run `qc publish`"):
        read_version(Place(str(tmp_path)), "p0")
    with pytest.raises(QcError, match="QC_EXPORT_URL=nosuch://x"):
        Place("nosuch://x")


def test_what_others_put_among_exports_is_passed_over(tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    for name in ("3", "\u00b2", "x", "\u0664", "-1"):
        (tmp_path / "p0" / "history" / name / "inside").mkdir(parents=True)
    assert place.versions("p0") == [3]
    for path in ("p0/history/3/inside", "p0/history/3/a\0b"):
        with pytest.raises(ExportError, match="no file"):
            place.read(path)
    document = {"model": "p0", "version": 3, "folder": "history/3", "sha256": ""}
    for path in ("inside", "a\0b"):
        files = {path: {"sha256": "0"}}
        text = json.dumps(document | {"files": files, "sha256": hashlib.sha256(f"{path}:0\n".encode()).hexdigest()})
        for name in ("p0/latest_model.json", "p0/history/3/model.json"):
            place.write(name, text.encode())
        with pytest.raises(ExportError, match=r"no version of p0 .* can be used"):
            read_soundest_version(place, "p0")


def test_what_other_projects_know_is_read_where_their_home_published_it(tmp_path: Path, p0: Bundle) -> None:
    assert others_of(Settings(), SMALL, is_synthetic=True) is None, "unless it is asked for"
    settings = Settings(others_url=str(tmp_path))
    with pytest.raises(ExportError, match=r"QC_OTHERS_URL: .* has no p0/latest_model.json: run `qc publish`"):
        others_of(settings, SMALL, is_synthetic=True)
    exported(Place(str(tmp_path)), p0, 1, {})
    others = others_of(settings, SMALL, is_synthetic=True)
    x = np.random.default_rng(0).normal(size=(20, 3))
    assert others is not None and others.columns == 3
    assert np.array_equal(others.estimator.score(x), p0.estimator.score(x))
    assert others_of(settings, replace(SMALL, learns_from_others=False), is_synthetic=True) is None
    with pytest.raises(ExportError, match="made-up data"):
        others_of(settings, SMALL, is_synthetic=False)
    with pytest.raises(ExportError, match=r"reads other features.*publish it there with this version"):
        others_of(settings, SPEC, is_synthetic=True)
