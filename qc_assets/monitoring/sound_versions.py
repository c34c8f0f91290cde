"""Who answers for a model: its champion, or the one before where the champion's files are broken; and that is said.

The server (`qc_assets.serving.champions`), scoring and monitoring go by this rule.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from qc_assets.errors import QcError
from qc_assets.features.model_rows import feature_types
from qc_assets.learning.spec import ModelSpec
from qc_assets.models.specs import SPECS

if TYPE_CHECKING:
    from qc_assets.learning.bundle import Bundle
    from qc_assets.registry.model_registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SoundVersion:
    """A version that can be loaded and asked.

    Attributes:
        stands_in: it answers in the place of a broken champion.
    """

    version: int
    bundle: "Bundle"
    stands_in: bool = False


@dataclass(frozen=True)
class Answering:
    """Who answers for a model.

    Attributes:
        champion: number of the version that should; None if the model has no champion.
        version: who does: the champion, else the latest one before it that nobody took down and that is sound.
        challenger: who is scored beside it, if there is one and it is sound.
        champions_trouble: why the champion does not answer and who does; empty if it does, or if there is none.
        troubles: that, and why the challenger does not.
    """

    champion: int | None
    version: SoundVersion | None
    challenger: SoundVersion | None = None
    champions_trouble: str = ""
    troubles: tuple[str, ...] = ()


def load_and_try(registry: "Registry", spec: ModelSpec, version: int) -> "Bundle":
    """The bundle of a registered version, asked about an item of which nothing is known.

    Raises:
        QcError: if it answers with no numbers; and whatever a broken or foreign file raises.
    """
    bundle = registry.load(spec.name, version)
    types = feature_types(spec, bundle)
    answers = bundle.predict(pl.DataFrame({name: [None] for name in types}, schema=types))
    if answers.shape[0] != 1 or not np.isfinite(answers).all():
        raise QcError(f"asked about one item, it answers {answers!r}")
    return bundle


def answering(registry: "Registry", spec: ModelSpec, *, with_challenger: bool = False) -> Answering:
    """Who answers for a model.

    Raises:
        Exception: if the registry does not answer: then nobody knows whether a champion is broken.
    """
    standing = registry.standing(spec.name)
    references = [standing.champion, *standing.earlier_champions] if standing.champion is not None else []
    troubles: list[str] = []
    sound = first_sound(registry, spec, [reference.version for reference in references], troubles)
    version = None if sound is None else SoundVersion(*sound, stands_in=bool(troubles))
    champions_trouble = ""
    if troubles:
        instead = f"version {version.version} stands in" if version else "and no champion before it is sound"
        champions_trouble = f"the champion, {troubles[0]}; {instead}"
    others: list[str] = []
    number = registry.version_of(spec.name, "challenger") if with_challenger else None
    challengers = [] if number is None or (version is not None and number == version.version) else [number]
    sound = first_sound(registry, spec, challengers, others)
    challenger = None if sound is None else SoundVersion(*sound)
    told = [champions_trouble, *(f"the challenger, {trouble}" for trouble in others)]
    champion = standing.champion.version if standing.champion else None
    return Answering(champion, version, challenger, champions_trouble, tuple(filter(None, told)))


def first_sound(
    registry: "Registry", spec: ModelSpec, versions: Iterable[int], troubles: list[str]
) -> "tuple[int, Bundle] | None":
    """The first of some versions that can be loaded and asked; why those before it cannot, goes into `troubles`.

    Raises:
        Exception: if they are out of reach, sound or not.
    """
    from qc_assets.registry.bundle_store import is_out_of_reach

    for version in versions:
        try:
            return version, load_and_try(registry, spec, version)
        except Exception as error:  # whatever a broken file does
            if is_out_of_reach(error):
                raise
            why = f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
            troubles.append(f"version {version} of {spec.name} cannot be loaded: {why}")
            log.warning("%s", troubles[-1])
    return None


def bounding_bundle(registry: "Registry", spec: ModelSpec, *, is_synthetic: bool) -> "Bundle | None":
    """What answers of a model may not contradict: who answers for `spec.bound`, if it learnt from that kind of data."""
    if spec.bound is None:
        return None
    other = answering(registry, next(other for other in SPECS if other.name == spec.bound.model)).version
    return other.bundle if other is not None and other.bundle.is_synthetic == is_synthetic else None
