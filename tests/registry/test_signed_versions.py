"""Files of registered versions that were changed: refused, and the champion before serves."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qc_assets.clock import now_utc
from qc_assets.learning.manifest import MANIFEST, ManifestError
from qc_assets.registry import lifecycle
from qc_assets.registry.model_registry import Registry
from qc_assets.registry.standing import RecordedDecision, VersionReference
from qc_assets.serving import champions
from tests.learning.test_models import SMALL, later, rows
from tests.registry.conftest import QUICK

KEY = b"a key of sixteen characters"


@pytest.fixture
def two_versions(registry: Registry, without_figures: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.setattr(champions, "SPECS", {"p0": SMALL})
    for frame in (rows(n=600), later(rows(n=600, seed=5))):
        assert lifecycle.train_and_register(SMALL, frame, registry, QUICK, is_synthetic=False, origin={}).logged
    standing = registry.standing("p0")
    first, second = (VersionReference(number, standing.versions[number]) for number in (1, 2))
    # Whatever the gates thought of so few rows.
    for subject, before in ((first, None), (second, first)):
        registry.client().set_registered_model_alias("p0", "champion", str(subject.version))
        instant = registry.standing("p0").next_instant(now_utc())
        registry.note_decision("p0", RecordedDecision(subject, instant, "training", True, before, "in a test"))
    yield registry


def bundle_of(registry: Registry, version: int) -> Path:
    run_id = registry.standing("p0").versions[version]
    experiment = registry.client().get_run(run_id).info.experiment_id
    (logged,) = registry.client().search_logged_models([experiment], f"source_run_id = '{run_id}'")
    return Path(logged.artifact_location.removeprefix("file://")) / "artifacts" / "bundle"


@pytest.mark.slow
def test_a_swapped_file_is_not_served_and_an_unsigned_version_is_signed_by_will(two_versions: Any) -> None:
    registry = two_versions
    signing = Registry(registry.tracking_uri, registry.artifact_root, KEY)
    with pytest.raises(ManifestError, match="not signed"):
        signing.load("p0", 2)
    assert signing.sign_all("p0") == 2 and signing.sign_all("p0") == 0
    assert signing.load("p0", 2).model == registry.load("p0", 2).model == "p0"

    folder = bundle_of(registry, 2)
    (folder / "bundle.json").write_text((folder / "bundle.json").read_text() + " ")
    served = champions.Champions(registry)
    assert served.refresh() == ["p0"] and served.of("p0").version == 1
    assert "ManifestError" in served.troubles["p0"] and "version 1 serves" in served.troubles["p0"]
    (folder / MANIFEST).unlink()  # as bundles of before there were manifests have none
    with pytest.raises(ManifestError, match="lost its"):
        registry.load("p0", 2)
    with pytest.raises(ManifestError, match="lost its"):
        signing.sign_all("p0")
