"""A trained model as a folder of safe files: an estimator, a calibrator, and what they expect."""

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from qc_assets.errors import QcError
from qc_assets.files import digest_of
from qc_assets.learning.dataset import matrix, matrix_of
from qc_assets.learning.manifest import Expected, ManifestError, verify_manifest, write_manifest
from qc_assets.learning.remaining import Remaining, RemainingTimes
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_named
from qc_assets.learning.task.terms import Calibrator, Estimator
from qc_assets.learning.text.text_features import TextReducer
from qc_assets.learning.venn_abers import VennAbers, with_bounds

_FILE = "bundle.json"
_JUDGED = "judged"


@dataclass(frozen=True)
class Bundle:
    """Everything that a prediction needs.

    Attributes:
        model: name of the model.
        task: kind of its answers.
        features: feature names in the order of the estimator's matrix.
        categories: ordered levels of features that are levels.
        classes: the categories that it answers with.
        estimator: gives scores.
        calibrator: makes answers of them.
        trivial: the answer that knows only the labels of the calibration window, such as the base rate.
        context: what was settled before fitting, such as a horizon.
        is_synthetic: trained on made-up data.
        fitted: how it was fitted: `kind`, `parameters`, and `as_of`, the instants at which labels were read.
        texts: makes further numbers of texts; they follow the features in the matrix.
        judged: the estimator that the test window judged, which had not seen it; `estimator` has. None in versions that
            serve what was judged.
        bounds: gives probabilities their intervals; None in versions of before there were any, and where answers
            have intervals of their own.
        remaining: says how much longer an item takes that has waited already; None where nobody asks that.
        digest: SHA-256 over the files that it was read from; empty if it was not.
    """

    model: str
    task: str
    features: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    classes: tuple[str, ...]
    estimator: Estimator
    calibrator: Calibrator
    trivial: tuple[Any, ...]
    context: Mapping[str, Any]
    is_synthetic: bool
    texts: TextReducer | None = None
    fitted: Mapping[str, Any] = field(default_factory=dict)
    judged: Estimator | None = None
    bounds: VennAbers | None = None
    remaining: RemainingTimes | None = None
    digest: str = field(default="", compare=False)

    @classmethod
    def of(cls, spec: ModelSpec, estimator: Estimator, calibrator: Calibrator, **others: Any) -> "Bundle":
        """The bundle of a spec's model."""
        return cls(spec.name, spec.task, spec.features, spec.categories, spec.classes, estimator, calibrator, **others)

    @property
    def as_judged(self) -> "Bundle":
        """The same with the estimator that had not seen the test window: for whatever is said of rows in it."""
        return self if self.judged is None else replace(self, estimator=self.judged, judged=None)

    def predict_matrix(self, x: np.ndarray) -> np.ndarray:
        """Answers for a matrix in the order of `features`; the first dimension is that of `x`.

        Nobody says which repositories the rows are of, so intervals are those of all.
        """
        return self._answers(x, None)

    def _answers(self, x: np.ndarray, repositories: np.ndarray | None) -> np.ndarray:
        return task_named(self.task).answers(self.calibrator, self.estimator.score(x), repositories)

    def predict(self, frame: pl.DataFrame) -> np.ndarray:
        """Answers for a frame with the feature columns; with `repo_id`, intervals are those of the repository.

        Returns:
            Probabilities (rows,); lower end, median and upper end in hours (rows, 3); or probabilities of the
            categories (rows, classes).

        Raises:
            TrainingError: if a feature column is missing. A text column may be: then its numbers are unknown.
        """
        known = "repo_id" in frame.columns
        repositories = frame["repo_id"].cast(pl.Int64).fill_null(0).to_numpy() if known else None
        return self._answers(self.matrix(frame), repositories)

    def predict_rows(self, rows: Sequence[Mapping[str, Any]], repositories: np.ndarray) -> np.ndarray:
        """As `predict`, for rows by name whose features are numbers and levels, of these repositories, (rows,)."""
        return self._answers(matrix_of(rows, self.features, self.categories), repositories)

    def how_much_longer(self, frame: pl.DataFrame, waited: np.ndarray) -> list[Remaining | None]:
        """What items still take that have waited already, see `remaining`.

        Args:
            frame: as in `predict`.
            waited: hours since each was opened, (rows,).
        """
        if self.remaining is None:
            return [None] * len(frame)
        scores, repositories = self.estimator.score(self.matrix(frame)), np.zeros(len(frame), np.int64)
        if "repo_id" in frame.columns:
            repositories = frame["repo_id"].cast(pl.Int64).fill_null(0).to_numpy()
        return [
            self.remaining(float(score), float(hours), int(repository))
            for score, hours, repository in zip(scores, waited, repositories, strict=True)
        ]

    def table(self, answers: np.ndarray) -> pl.DataFrame:
        """Answers of `predict` as the columns prediction, lower, upper, answer."""
        return with_bounds(task_named(self.task).table(self.classes, answers), self.bounds)

    def matrix(self, frame: pl.DataFrame) -> np.ndarray:
        """What the estimator sees of a frame, (rows, inputs)."""
        x = matrix(frame, self.features, self.categories)
        return x if self.texts is None else np.hstack([x, self.texts(frame)])

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the columns of `matrix`."""
        return self.features + (self.texts.names if self.texts else ())

    @property
    def text_columns(self) -> tuple[str, ...]:
        """Columns whose texts it makes numbers of."""
        return tuple(self.texts.columns) if self.texts else ()

    def with_unknown(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with the features that its rows lack as unknown, as they are of another version of the code."""
        missing = [name for name in self.features if name not in frame.columns]
        words = [name for name in missing if name in self.categories]
        return frame.with_columns(
            pl.lit(None, pl.String if name in words else pl.Float64).alias(name) for name in missing
        )

    def save(self, folder: Path, run_id: str = "", key: bytes | None = None) -> str:
        """Write the bundle's files into `folder`, which must exist and be empty, and a manifest of them.

        Args:
            folder: where to.
            run_id: the MLflow run that made it.
            key: that signs the manifest.

        Returns:
            The SHA-256 sum of the manifest.
        """
        self.estimator.save(folder)
        if self.judged is not None:
            inside = folder / _JUDGED
            inside.mkdir(exist_ok=True)
            self.judged.save(inside)
        document = {
            "model": self.model,
            "task": self.task,
            "features": list(self.features),
            "categories": {name: list(levels) for name, levels in self.categories.items()},
            "classes": list(self.classes),
            "calibrator": self.calibrator.to_json(),
            "trivial": list(self.trivial),
            "context": dict(self.context),
            "is_synthetic": self.is_synthetic,
            "fitted": dict(self.fitted),
            "texts": None if self.texts is None else self.texts.to_json(),
            "bounds": None if self.bounds is None else self.bounds.to_json(),
            "remaining": None if self.remaining is None else self.remaining.to_json(),
        }
        (folder / _FILE).write_text(json.dumps(document, indent=1), encoding="utf-8")
        return write_manifest(folder, self.model, run_id, key)

    @classmethod
    def load(cls, folder: Path, expected: Expected = Expected()) -> "Bundle":
        """Read what `save` wrote, once the manifest fits; runs no code from the files.

        Files of the same contents as those of a bundle that this process has read lately are that bundle.

        Raises:
            QcError: if the files are not what they should be, or hold what no model of ours has.
        """
        manifest = verify_manifest(folder, expected)
        with _reading:
            bundle = _read_lately.pop(manifest, None) or cls._read(folder, expected.model)
            if manifest:
                _read_lately[manifest] = bundle
                if len(_read_lately) > _MOST_KEPT:
                    del _read_lately[next(iter(_read_lately))]
        if expected.model and bundle.model != expected.model:
            raise ManifestError(f"the bundle of {expected.model} is one of {bundle.model}: it is another's")
        return bundle

    @classmethod
    def _read(cls, folder: Path, model: str) -> "Bundle":
        try:
            return cls._of_files(folder)
        except QcError:
            raise
        except Exception as error:  # a broken file may do anything to a library
            what = f"{model or folder.name} ({type(error).__name__}: {error})"[:300]
            raise ManifestError(
                f"the bundle is none of this version of qc-assets: {what}: roll back, or train"
            ) from error

    @classmethod
    def _of_files(cls, folder: Path) -> "Bundle":
        document = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        task, bounds, remaining = (task_named(document["task"]), document.get("bounds"), document.get("remaining"))
        return cls(
            model=document["model"],
            task=task.name,
            features=tuple(document["features"]),
            categories={name: tuple(levels) for name, levels in document["categories"].items()},
            classes=tuple(document["classes"]),
            estimator=task.load(folder),
            judged=task.load(folder / _JUDGED) if (folder / _JUDGED).exists() else None,
            calibrator=task.calibrator_from_json(document["calibrator"]),
            trivial=tuple(document["trivial"]),
            context=document["context"],
            is_synthetic=document["is_synthetic"],
            fitted=document.get("fitted", {}),
            texts=TextReducer.from_json(document["texts"]) if document["texts"] else None,
            bounds=VennAbers.from_json(bounds) if bounds else None,
            remaining=RemainingTimes.from_json(remaining) if remaining else None,
            digest=digest_of(folder),
        )


# By the sum of their manifests, the one that was asked for last at the end: the steps of a run ask for the same few
# champions again and again, and to read one takes half a second.
_MOST_KEPT = 8
_read_lately: dict[str, Bundle] = {}
_reading = threading.Lock()


def answers_for_mlflow(bundle: Bundle, answers: np.ndarray) -> Any:
    """Answers as MLflow returns them: an array of probabilities, or a pandas frame with named columns."""
    return task_named(bundle.task).for_mlflow(bundle.classes, answers)
