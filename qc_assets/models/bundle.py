"""A trained model as a folder of safe files: an estimator, a calibrator, and what they expect."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from qc_assets.models import estimators
from qc_assets.models.calibration import Calibrator
from qc_assets.models.dataset import matrix
from qc_assets.models.estimators import Estimator

_FILE = "bundle.json"


@dataclass(frozen=True)
class Bundle:
    """Everything that a prediction needs.

    Attributes:
        model: name of the model.
        features: feature names in the order of the estimator's matrix.
        categories: ordered levels of the text features.
        estimator: gives scores.
        calibrator: makes probabilities of them.
        base_rate: share of positive labels in the calibration window.
        is_synthetic: trained on made-up data.
    """

    model: str
    features: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    estimator: Estimator
    calibrator: Calibrator
    base_rate: float
    is_synthetic: bool

    def predict_matrix(self, x: np.ndarray) -> np.ndarray:
        """Calibrated probabilities for a matrix in the order of `features`, (rows,)."""
        return self.calibrator(self.estimator.score(x))

    def predict(self, frame: pl.DataFrame) -> np.ndarray:
        """Calibrated probabilities for a frame with the feature columns, (rows,).

        Raises:
            TrainingError: if a feature column is missing.
        """
        return self.predict_matrix(matrix(frame, self.features, self.categories))

    def save(self, folder: Path) -> None:
        """Write the bundle's files into `folder`, which must exist."""
        self.estimator.save(folder)
        document = {
            "model": self.model,
            "features": list(self.features),
            "categories": {name: list(levels) for name, levels in self.categories.items()},
            "calibrator": self.calibrator.to_json(),
            "base_rate": self.base_rate,
            "is_synthetic": self.is_synthetic,
        }
        (folder / _FILE).write_text(json.dumps(document, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Bundle":
        """Read what `save` wrote; runs no code from the files."""
        document = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        return cls(
            model=document["model"],
            features=tuple(document["features"]),
            categories={name: tuple(levels) for name, levels in document["categories"].items()},
            estimator=estimators.load(folder),
            calibrator=Calibrator.from_json(document["calibrator"]),
            base_rate=document["base_rate"],
            is_synthetic=document["is_synthetic"],
        )
