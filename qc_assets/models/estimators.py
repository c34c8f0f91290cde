"""The estimators that compete for a model, and formats that are safe to load."""

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from qc_assets.errors import QcError
from qc_assets.models.spec import Parameters


class Estimator(Protocol):
    """A fitted binary classifier on a float matrix with NaN."""

    def score(self, x: np.ndarray) -> np.ndarray:
        """Uncalibrated probability of the label, (rows,)."""
        ...

    def save(self, folder: Path) -> None:
        """Write the one file of this estimator."""
        ...


class LightGBMEstimator:
    """Gradient-boosted trees, kept in LightGBM's own text format.

    Args:
        booster: a ``lightgbm.Booster``.
    """

    file = "model.lightgbm.txt"

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    def score(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.booster.predict(x))

    def save(self, folder: Path) -> None:
        self.booster.save_model(str(folder / self.file))

    @classmethod
    def load(cls, folder: Path) -> "LightGBMEstimator":
        import lightgbm

        return cls(lightgbm.Booster(model_file=str(folder / cls.file)))


class ForestEstimator:
    """A random forest, kept in the skops format, which runs no code when loaded.

    Args:
        forest: a fitted ``sklearn.ensemble.RandomForestClassifier``.
    """

    file = "model.skops"

    def __init__(self, forest: Any) -> None:
        self.forest = forest
        # Threads would add up the trees in whatever order they finish, and the last digit would differ.
        self.forest.n_jobs = 1

    def score(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.forest.predict_proba(x)[:, 1])

    def save(self, folder: Path) -> None:
        import skops.io

        skops.io.dump(self.forest, folder / self.file)

    @classmethod
    def load(cls, folder: Path) -> "ForestEstimator":
        import skops.io

        file = folder / cls.file
        foreign = [
            name for name in skops.io.get_untrusted_types(file=file) if not name.startswith(("sklearn.", "numpy."))
        ]
        if foreign:
            raise QcError(f"{file} holds {', '.join(foreign)}: a forest has no such thing, so it is not loaded")
        return cls(skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file)))


class XGBoostEstimator:
    """Gradient-boosted trees, kept in XGBoost's own JSON format.

    Args:
        booster: an ``xgboost.Booster``.
    """

    file = "model.xgboost.json"

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    def score(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self.booster.inplace_predict(x)).astype(np.float64)

    def save(self, folder: Path) -> None:
        self.booster.save_model(str(folder / self.file))

    @classmethod
    def load(cls, folder: Path) -> "XGBoostEstimator":
        import xgboost

        return cls(xgboost.Booster(model_file=str(folder / cls.file)))


def fit(
    kind: str, parameters: Parameters, x: np.ndarray, y: np.ndarray, *, seed: int, threads: int | None
) -> Estimator:
    """Fit one estimator with balanced classes; calibration undoes what the balancing does to the probabilities.

    Args:
        kind: ``random_forest``, ``lightgbm`` or ``xgboost``.
        parameters: the estimator's parameters.
        x: features, (rows, features) with NaN.
        y: labels 0 or 1, (rows,).
        seed: the same seed, rows and threads give the same estimator.
        threads: None means all cores.
    """
    jobs = threads or -1
    if kind == "random_forest":
        from sklearn.ensemble import RandomForestClassifier

        sample = {"max_samples": 40_000} if len(y) > 40_000 else {}
        forest = RandomForestClassifier(class_weight="balanced", n_jobs=jobs, random_state=seed, **sample, **parameters)
        return ForestEstimator(forest.fit(x, y))
    if kind == "lightgbm":
        import lightgbm

        classifier = lightgbm.LGBMClassifier(
            class_weight="balanced", n_jobs=jobs, random_state=seed, deterministic=True, force_col_wise=True,
            verbosity=-1, **parameters,
        )  # fmt: skip
        return LightGBMEstimator(classifier.fit(x, y).booster_)
    if kind == "xgboost":
        import xgboost

        weight = {"scale_pos_weight": float((y == 0).sum() / max(1, (y == 1).sum()))}
        boosted = xgboost.XGBClassifier(
            tree_method="hist", n_jobs=threads or 0, random_state=seed, verbosity=0, **weight, **parameters
        )
        return XGBoostEstimator(boosted.fit(x, y).get_booster())
    raise QcError(f"no estimator called {kind}")


def load(folder: Path) -> Estimator:
    """Load whichever estimator lies in `folder`.

    Raises:
        QcError: if there is none.
    """
    for kind in (LightGBMEstimator, ForestEstimator, XGBoostEstimator):
        if (folder / kind.file).exists():
            return kind.load(folder)
    raise QcError(f"no estimator in {folder}")
