"""Bundles are what their manifest says, the manifest what the registry noted or a key signed, and run no code."""

import functools
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from qc_assets.errors import QcError
from qc_assets.learning import estimators
from qc_assets.learning.bundle import Bundle
from qc_assets.learning.calibration import ProbabilityCalibrator
from qc_assets.learning.manifest import MANIFEST, Expected, ManifestError, write_manifest
from qc_assets.learning.safe_skops import load_skops
from qc_assets.learning.text.text_estimators import LinearTextEstimator
from qc_assets.registry.export_place import LATEST, ExportError, Place
from qc_assets.registry.model_files import read_soundest_version, read_version
from tests.learning.test_models import SMALL
from tests.registry.conftest import exported

KEY, OTHER_KEY = b"a key of sixteen characters", b"another key, as long as that"
X = np.random.default_rng(0).normal(size=(60, 3))
Y = (X[:, 0] > 0).astype(float)


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    estimator = estimators.fit_classifier("logistic", {"C": 1.0}, X, Y, np.ones(60), seed=0, threads=1)
    return Bundle.of(
        SMALL, estimator, ProbabilityCalibrator.fit(np.full(60, 0.5), Y), trivial=(0.5,), context={}, is_synthetic=True
    )


def _swapped(folder: Path) -> None:
    (folder / "model.skops").write_bytes((folder / "model.skops").read_bytes() + b" ")


def _fewer(folder: Path) -> None:
    (folder / "model.skops").rename(folder / "model.txt")


def _more(folder: Path) -> None:
    (folder / "judged").mkdir()
    shutil.copy(folder / "model.skops", folder / "judged")


def _renamed(folder: Path) -> None:
    document = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps(document | {"is_synthetic": False}))


@pytest.mark.parametrize("change", [_swapped, _fewer, _more, _renamed])
def test_changed_files_are_refused_and_changing_the_manifest_with_them_does_not_help(
    bundle: Bundle, tmp_path: Path, change: Callable[[Path], None]
) -> None:
    noted = bundle.save(tmp_path, "run-1", KEY)
    Bundle.load(tmp_path, Expected("p0", "run-1", noted, KEY))
    change(tmp_path)
    with pytest.raises(ManifestError, match=MANIFEST):
        Bundle.load(tmp_path)
    write_manifest(tmp_path, "p0", "run-1")
    with pytest.raises(ManifestError, match="not signed"):
        Bundle.load(tmp_path, Expected(key=KEY))
    with pytest.raises(ManifestError, match=r"another manifest\.json than was registered"):
        Bundle.load(tmp_path, Expected(sha256=noted))
    write_manifest(tmp_path, "p0", "run-1", OTHER_KEY)
    with pytest.raises(ManifestError, match="another QC_SIGNING_KEY"):
        Bundle.load(tmp_path, Expected(key=KEY))
    (tmp_path / MANIFEST).unlink()
    with pytest.raises(ManifestError, match="lost its"):
        Bundle.load(tmp_path, Expected(sha256=noted))
    with pytest.raises(ManifestError, match="not signed"):
        Bundle.load(tmp_path, Expected(key=KEY))


@pytest.mark.parametrize("expected", [Expected("close_in_7_days"), Expected("p0", "run-2")])
def test_a_sound_bundle_in_the_place_of_another_is_refused(bundle: Bundle, tmp_path: Path, expected: Expected) -> None:
    bundle.save(tmp_path, "run-1", KEY)
    with pytest.raises(ManifestError, match="in the wrong place"):
        Bundle.load(tmp_path, expected)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"files": 1, "model": "p0", "run_id": ""}', "[" * 100_000])
def test_a_broken_manifest_is_said_to_be_broken(bundle: Bundle, tmp_path: Path, text: str) -> None:
    bundle.save(tmp_path)
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(ManifestError, match="broken"):
        Bundle.load(tmp_path)


def _runs_code(mark: Path) -> list[Any]:
    from numpy.testing import measure, runstring
    from scipy.optimize import minimize

    code = f"open({str(mark)!r}, 'w').write('ran')"
    run = np.vectorize(runstring, otypes=[object], excluded={"dict"})
    text = FunctionTransformer(np.full_like, kw_args={"fill_value": code, "dtype": "U300"})
    return [
        Pipeline([("text", text), ("run", FunctionTransformer(run, kw_args={"dict": {}}))]),
        FunctionTransformer(functools.partial(measure, code)),
        FunctionTransformer(np.load, kw_args={"allow_pickle": True}),
        FunctionTransformer(minimize),
        FunctionTransformer(np.sin),
    ]


@pytest.mark.parametrize("index", range(5))
def test_types_that_none_of_our_candidates_has_are_not_loaded(tmp_path: Path, index: int) -> None:
    from skops.io import dump  # with torch and all of scikit-learn

    evil = Pipeline([("evil", _runs_code(tmp_path / "ran")[index]), ("model", LogisticRegression().fit(X, Y))])
    for file, load in (("model.skops", estimators.load_estimator), ("text.skops", LinearTextEstimator.load)):
        dump({"words": evil} if file == "text.skops" else evil, tmp_path / file)
        (tmp_path / "text.json").write_text('{"classes": 2, "encoder": ""}')
        with pytest.raises(QcError, match="no model of ours has such a thing"):
            load(tmp_path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("data", [b"", b"\x80\x04.", b"PK\x05\x06" + b"\0" * 18])
def test_what_is_no_skops_file_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "model.skops").write_bytes(data)
    with pytest.raises(QcError, match="no skops file"):
        load_skops(tmp_path / "model.skops")


def test_a_model_cannot_name_a_folder_whose_code_would_run(tmp_path: Path) -> None:
    LinearTextEstimator({"words": LogisticRegression()}, 2, str(tmp_path)).save(tmp_path)
    with pytest.raises(QcError, match="set QC_ENCODER to it"):
        LinearTextEstimator.load(tmp_path)


def _of_another_model(place: Place) -> None:
    place.write(f"p0/{LATEST}", place.read("p0/history/2/model.json").replace(b'"model": "p0"', b'"model": "other"'))


def _of_another_folder(place: Place) -> None:
    text = place.read("p0/history/2/model.json").replace(b"history/2", b"../../outside")
    place.write(f"p0/{LATEST}", text)


def _with_other_metrics(place: Place) -> None:
    text = place.read("p0/history/2/model.json").replace(b'"roc_auc": 0.7', b'"roc_auc": 0.99')
    place.write("p0/history/2/model.json", text)
    place.write(f"p0/{LATEST}", text)


def _with_an_older_one_in_its_place(place: Place) -> None:
    place.write("p0/history/2/model.json", place.read("p0/history/1/model.json"))


def _with_mended_sums(place: Place) -> None:
    unsigned = Place(place.url)
    bundle = read_version(place, "p0").bundle
    place.write("p0/history/2/bundle.json", b"{")
    assert exported(unsigned, bundle, 2, {"run_id": "b"})


CHANGES = [_of_another_model, _of_another_folder, _with_other_metrics, _with_an_older_one_in_its_place]


@pytest.mark.parametrize("change", [*CHANGES, _with_mended_sums])
def test_a_changed_export_falls_back_to_the_version_before(
    bundle: Bundle, tmp_path: Path, change: Callable[[Place], None]
) -> None:
    place = Place(str(tmp_path), signing_key=KEY)
    for number, run_id in ((1, "a"), (2, "b")):
        exported(place, bundle, number, {"run_id": run_id, "metrics": {"roc_auc": 0.7}})
    assert read_version(place, "p0").version == 2
    change(place)
    with pytest.raises(ExportError):
        read_version(place, "p0")
    fallback = read_soundest_version(place, "p0")
    sound = 2 if change in (_of_another_model, _of_another_folder) else 1
    assert fallback.document["folder"] == f"history/{sound}" and fallback.troubles
    assert exported(place, bundle, 2, {"run_id": "b"}) and read_version(place, "p0").version == 2


def test_without_a_key_a_document_still_has_to_be_that_of_its_model_and_folder(bundle: Bundle, tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    exported(place, bundle, 1, {"is_synthetic": False})
    with pytest.raises(ExportError, match="is_synthetic"):
        read_version(place, "p0")
    shutil.copytree(tmp_path / "p0", tmp_path / "resolution_time")
    with pytest.raises(ExportError, match="should"):
        read_version(place, "resolution_time")


@pytest.mark.parametrize("name", ["bundle.json", MANIFEST, "more"])
@pytest.mark.parametrize("makes", ["link", "pipe"])
def test_a_link_is_not_followed_whatever_it_leads_to(bundle: Bundle, tmp_path: Path, name: str, makes: str) -> None:
    folder, outside = tmp_path / "bundle", tmp_path / "outside"
    folder.mkdir()
    bundle.save(folder)
    if (folder / name).exists():
        (folder / name).rename(outside)
    (folder / name).symlink_to(outside) if makes == "link" else os.mkfifo(folder / name)
    with pytest.raises(ManifestError, match="is a link, or no file"):
        Bundle.load(folder)


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(
    inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5)  # fmt: skip


@given(changes=st.data())
@settings(max_examples=30, deadline=None)
def test_whatever_a_document_says_it_is_a_bundle_or_refused_in_words(
    bundle: Bundle, tmp_path_factory: pytest.TempPathFactory, changes: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("odd")
    bundle.save(folder)
    document = json.loads((folder / "bundle.json").read_text())
    name = changes.draw(st.sampled_from(sorted(document)))
    odd = changes.draw(st.sampled_from([document | {name: changes.draw(JSON)}, {name: 1}, changes.draw(JSON)]))
    (folder / "bundle.json").write_text(json.dumps(odd))
    write_manifest(folder, "p0")
    try:
        assert isinstance(Bundle.load(folder), Bundle)
    except QcError as error:
        assert "roll back" in str(error) or "not loaded" in str(error)
