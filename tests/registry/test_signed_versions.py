"""Files of registered versions that were changed: refused, and the champion before serves."""

from pathlib import Path
from typing import Any

import pytest

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.learning.manifest import MANIFEST, ManifestError
from qc_assets.monitoring import scoring
from qc_assets.monitoring.examination import Examined, examine_champion
from qc_assets.monitoring.sound_versions import answering
from qc_assets.registry.export_place import LATEST, Place
from qc_assets.registry.mirror import sync_mirror
from qc_assets.registry.model_registry import Registry
from qc_assets.registry.standing import RecordedDecision, Standing, VersionReference
from qc_assets.serving import champions, publish
from qc_assets.settings import load_settings
from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.learning.test_models import SMALL

KEY = b"a key of sixteen characters"


@pytest.fixture
def two_versions(trained_twice: Registry, monkeypatch: pytest.MonkeyPatch) -> Registry:
    for module in (champions, publish):
        monkeypatch.setattr(module, "SPECS", {"p0": SMALL})
    return trained_twice


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
    with pytest.raises(ManifestError, match="not signed"):
        signing.roll_back("p0", 1)
    assert registry.standing("p0").champion.version == 2, "what cannot be served is not made champion"  # type: ignore[union-attr]
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


@pytest.mark.slow
def test_scoring_and_monitoring_go_by_the_version_before_a_broken_champion_and_say_so(
    two_versions: Registry, warehouse: Warehouse
) -> None:
    registry = two_versions
    with warehouse.write() as connection:
        histories.put(connection, {"pull_requests": [histories.pull_request(number, number) for number in (1, 2, 3)]})
        histories.cover(connection)
    settings = load_settings(source="gharchive", bootstrap_resamples=60)
    warehouse.rebuild("features/pull_requests", settings.feature_parameters("pull_requests"))
    sync_mirror(warehouse, registry, "p0")

    def scored() -> tuple[scoring.Scored, list[tuple[int, str]]]:
        with warehouse.write() as connection:
            connection.execute("DELETE FROM ml.predictions")
        outcome = scoring.score_waiting_items(warehouse, registry, SMALL, is_synthetic=False)
        return outcome, warehouse.query("SELECT DISTINCT version, role FROM ml.predictions ORDER BY ALL").rows()

    def examined() -> Examined:
        seen = examine_champion(settings, warehouse, registry, SMALL)
        assert seen is not None
        return seen

    assert scored() == (scoring.Scored({"champion": 3}), [(2, "champion")])
    before = examined()
    assert before.version == 2 and before.who.troubles == () and "cannot" not in before.sentence

    (bundle_of(registry, 2) / "bundle.json").unlink()
    outcome, rows = scored()
    assert outcome.counts == {"stand_in": 3} and rows == [(1, "stand_in")]
    broken = examined()
    for told in (*outcome.troubles, broken.sentence, broken.who.champions_trouble):
        assert "the champion, version 2 of p0 cannot be loaded: " in told and "version 1 stands in" in told
    assert not broken.holds and (broken.version, broken.who.champion) == (1, 2)

    for file in bundle_of(registry, 1).iterdir():
        file.unlink() if file.is_file() else None
    outcome, rows = scored()
    assert (outcome.counts, rows) == ({}, []) and "no champion before it is sound" in outcome.troubles[0]
    nobody = examined()
    assert not nobody.holds and nobody.version == 2 and "no champion before it is sound" in nobody.sentence


@pytest.mark.slow
def test_a_broken_challenger_costs_nobody_else_anything(two_versions: Registry, warehouse: Warehouse) -> None:
    registry = two_versions
    assert registry.roll_back("p0") == (2, 1)
    registry.client().set_registered_model_alias("p0", "challenger", "2")
    who = answering(registry, SMALL, with_challenger=True)
    assert who.version and who.challenger and (who.version.version, who.challenger.version) == (1, 2)
    (bundle_of(registry, 2) / MANIFEST).write_text("{}")
    who = answering(registry, SMALL, with_challenger=True)
    assert who.version is not None and who.version.version == 1 and who.challenger is None
    assert who.champions_trouble == "" and "the challenger, version 2 of p0 cannot be loaded" in who.troubles[0]
    # What a person took down does not come back by itself, also where nothing else is left.
    (bundle_of(registry, 1) / MANIFEST).write_text("{}")
    assert answering(registry, SMALL).version is None


def test_a_registry_that_does_not_answer_is_no_broken_champion(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one lost connection would have everything scored by an older version."""
    reference = VersionReference(2, "b")
    decisions = [
        RecordedDecision(VersionReference(1, "a"), now_utc(), "training", True, None, "first"),
        RecordedDecision(reference, now_utc(), "training", True, VersionReference(1, "a"), "second"),
    ]
    monkeypatch.setattr(Registry, "standing", lambda *_: Standing("p0", reference, decisions, {1: "a", 2: "b"}))

    def away(*_: object) -> None:
        raise ConnectionError("connection reset")

    monkeypatch.setattr(Registry, "load", away)
    with pytest.raises(ConnectionError, match="reset"):
        answering(registry, SMALL)


@pytest.mark.slow
def test_a_broken_champion_is_not_exported_and_named(
    two_versions: Registry, warehouse: Warehouse, tmp_path: Path
) -> None:
    with warehouse.write():
        pass
    place = Place(str(tmp_path / "out"))
    assert [row["version"] for row in publish.champions(place, warehouse, two_versions)] == [2]
    exported = place.read(f"p0/{LATEST}")
    (bundle_of(two_versions, 2) / "bundle.json").write_text("{}")
    with pytest.raises(QcError, match="version 2 of p0 is not exported: "):
        publish.champions(place, warehouse, two_versions)
    assert place.read(f"p0/{LATEST}") == exported
