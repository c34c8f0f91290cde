"""The champions in memory: loaded at start, and again when the registry names others."""

import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING

import polars as pl

from qc_assets.errors import QcError
from qc_assets.features.model_rows import feature_types
from qc_assets.learning.spec import ModelSpec
from qc_assets.models import specs
from qc_assets.monitoring.sound_versions import first_sound, load_and_try

if TYPE_CHECKING:
    from qc_assets.learning.bundle import Bundle
    from qc_assets.registry.model_registry import Registry
    from qc_assets.registry.standing import VersionReference

log = logging.getLogger(__name__)
SPECS: Mapping[str, ModelSpec] = {spec.name: spec for spec in specs.SPECS}


class NoChampionError(QcError):
    """A model has no champion yet."""


@dataclass(frozen=True)
class Champion:
    """A version that serves.

    Attributes:
        version: its number in the registry.
        bundle: the model.
        registered_at: when it was registered, at the end of its training (UTC).
        run_id: the MLflow run that made it, by which it is known.
    """

    model: str
    version: int
    bundle: "Bundle"
    registered_at: datetime
    run_id: str

    @cached_property
    def knows_numbers_only(self) -> bool:
        """Whether it is asked about numbers and levels, and no texts."""
        types = feature_types(SPECS[self.model], self.bundle)
        return all(kind == pl.Float64 or name in self.bundle.categories for name, kind in types.items())


def load_champion(registry: "Registry", model: str, reference: "VersionReference") -> Champion:
    """A registered version, ready to answer."""
    return _champion(registry, model, reference, load_and_try(registry, SPECS[model], reference.version))


def _champion(registry: "Registry", model: str, reference: "VersionReference", bundle: "Bundle") -> Champion:
    registered_at = registry.registered_at(model, reference.version)
    return Champion(model, reference.version, bundle, registered_at, reference.run_id)


@dataclass
class Champions:
    """Champions by model; a request that holds one keeps it, whatever is promoted meanwhile.

    Attributes:
        troubles: why a newer version of a model could not be loaded, by model.
    """

    registry: "Registry"
    troubles: dict[str, str] = field(default_factory=dict)
    _serving: Mapping[str, Champion] = field(default_factory=dict)
    _stamp: tuple[int, ...] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def refresh(self) -> list[str]:
        """Load what the registry calls champion; a version that cannot answer leaves the old one in place.

        What was removed from the registry by hand stops answering. A registry that cannot be asked changes nothing.

        Returns:
            Names of the models whose champion changed.
        """
        with self._lock:
            # Asking MLflow takes 10 ms of the interpreter, for which requests wait.
            stamp = self.registry.stamp()
            if stamp is not None and stamp == self._stamp:
                return []
            changed = dict(self._serving)
            for model, spec in SPECS.items():
                try:
                    standing = self.registry.standing(model)
                    reference, before = standing.champion, changed.get(model)
                    if reference is None:
                        changed.pop(model, None)
                        self._report(model, standing.removal)
                        continue
                    if before is None or (before.version, before.run_id) != (reference.version, reference.run_id):
                        changed[model] = load_champion(self.registry, model, reference)
                    self._report(model, None)
                except Exception as error:  # noqa: BLE001  # whatever a foreign or broken file does, the old one serves
                    trouble = f"the champion cannot be loaded: {type(error).__name__}: {error}"
                    if model not in changed and (earlier := self._last_sound(spec)) is not None:
                        changed[model] = earlier
                    if model in changed:
                        trouble += f"; version {changed[model].version} serves"
                    self._report(model, trouble)
            news = [model for model in SPECS if changed.get(model) is not self._serving.get(model)]
            self._stamp = None if self.troubles else stamp  # what failed may work next time
            self._serving = changed  # one assignment: readers see all of the old or all of the new
            return news

    def _last_sound(self, spec: ModelSpec) -> Champion | None:
        """The last champion of before that is still what it was, for a server that starts beside a broken one."""
        try:
            earlier = {each.version: each for each in self.registry.standing(spec.name).earlier_champions}
            sound = first_sound(self.registry, spec, earlier, [])
            return sound and _champion(self.registry, spec.name, earlier[sound[0]], sound[1])
        except Exception:  # noqa: BLE001  # the registry is away: the trouble is told by whoever asks
            return None

    def _report(self, model: str, trouble: str | None) -> None:
        if trouble is None:
            self.troubles.pop(model, None)
        elif self.troubles.get(model) != trouble:
            log.warning("%s: %s", model, trouble)
            self.troubles[model] = trouble

    def all(self) -> list[Champion]:
        """Those that serve now."""
        return list(self._serving.values())

    def of(self, model: str) -> Champion:
        """The champion of a model.

        Raises:
            NoChampionError: if there is none.
        """
        champion = self._serving.get(model)
        if champion is None:
            raise NoChampionError(self.troubles.get(model) or f"{model} has no champion: run `qc train {model}`")
        return champion

    def bounding(self, champion: Champion) -> Champion | None:
        """The champion that another's answers may not contradict, if there is one that learnt from the same kind."""
        bound = SPECS[champion.model].bound
        other = self._serving.get(bound.model) if bound else None
        return other if other is not None and other.bundle.is_synthetic == champion.bundle.is_synthetic else None

    def reads_texts(self, model: str) -> bool:
        """Whether an answer of a model's champion takes the time of reading texts.

        Raises:
            NoChampionError: if there is none.
        """
        champion = self.of(model)
        both = (champion, self.bounding(champion))
        return any(either.bundle.texts is not None for either in both if either is not None)
