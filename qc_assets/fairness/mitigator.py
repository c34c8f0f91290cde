"""BiasMitigator: what can be done about a gap, before training, while training, and after."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import polars as pl

from qc_assets.errors import FairnessError
from qc_assets.learning.calibration import ProbabilityCalibrator
from qc_assets.learning.estimators import boosting_threads
from qc_assets.learning.weights import inverse_frequency

# Fairlearn's constraints by what people call them.
CONSTRAINTS = {
    "demographic_parity": "DemographicParity",
    "equalized_odds": "EqualizedOdds",
    "true_positive_rate_parity": "TruePositiveRateParity",
    "false_positive_rate_parity": "FalsePositiveRateParity",
    "error_rate_parity": "ErrorRateParity",
}
_FEWEST = 30  # rows of a group from which a correction of its own is learnt


class Correction(Protocol):
    """A change of predictions that knows the group."""

    def __call__(self, predictions: np.ndarray, groups: Sequence[Any]) -> np.ndarray: ...


@dataclass(frozen=True)
class Shift:
    """Adds a number to the predictions of each group; groups that it was not fitted on are left as they are."""

    by_group: Mapping[str, float]
    bounds: tuple[float, float]

    def __call__(self, predictions: np.ndarray, groups: Sequence[Any]) -> np.ndarray:
        added = np.array([self.by_group.get(str(group), 0.0) for group in groups])
        return np.clip(np.asarray(predictions, dtype=np.float64) + added, *self.bounds)


@dataclass(frozen=True)
class Scale:
    """Stretches the predictions of each group around the group's mean; other groups are left as they are."""

    by_group: Mapping[str, tuple[float, float]]
    bounds: tuple[float, float]

    def __call__(self, predictions: np.ndarray, groups: Sequence[Any]) -> np.ndarray:
        values = np.asarray(predictions, dtype=np.float64)
        centre, factor = np.array([self.by_group.get(str(group), (0.0, 1.0)) for group in groups]).reshape(-1, 2).T
        return np.clip(centre + (values - centre) * factor, *self.bounds)


@dataclass(frozen=True)
class Recalibration:
    """A calibrator for each group that has enough rows, and one of all rows for the others."""

    by_group: Mapping[str, ProbabilityCalibrator]
    others: ProbabilityCalibrator

    def __call__(self, predictions: np.ndarray, groups: Sequence[Any]) -> np.ndarray:
        values, names = np.asarray(predictions, dtype=np.float64), np.asarray([str(group) for group in groups])
        corrected = self.others(values)
        for name, calibrator in self.by_group.items():
            is_member = names == name
            if is_member.any():
                corrected[is_member] = calibrator(values[is_member])
        return corrected


class BiasMitigator:
    """Ways to narrow a gap. None of them is free: `qc bias` shows what each costs on the test window."""

    @staticmethod
    def compute_sample_weights(data: Any, column: str) -> np.ndarray:
        """Inverse-frequency weights, ``n / (k * n_g)`` for a row of a group with n_g of the n rows in k groups.

        Args:
            data: polars or pandas frame.
            column: of the groups; missing values are a group of their own.

        Returns:
            Weights whose mean is 1, (rows,).
        """
        _, inverse, sizes = _groups(data, column)
        return inverse_frequency(sizes)[inverse]

    @staticmethod
    def resample_underrepresented(data: Any, column: str, *, seed: int = 0, most: int = 10) -> Any:
        """Repeat rows of small groups, drawn with replacement, until each has as many rows as the largest one.

        Args:
            data: polars or pandas frame.
            column: of the groups.
            seed: of the drawing.
            most: a group grows at most so many times: a few rows repeated more often teach nothing but themselves.

        Returns:
            All rows in their order, and the drawn ones behind them, as a frame of the same kind.
        """
        _, inverse, sizes = _groups(data, column)
        rows = np.concatenate([np.arange(len(inverse)), resampled_rows(inverse, sizes, seed=seed, most=most)])
        return data[rows] if isinstance(data, pl.DataFrame) else data.iloc[rows]

    @staticmethod
    def equalize_means(
        predictions: Sequence[float] | np.ndarray,
        groups: Sequence[Any],
        truth: Sequence[float] | np.ndarray | None = None,
        *,
        bounds: tuple[float, float] = (-np.inf, np.inf),
    ) -> Shift:
        """A shift of each group that makes its mean prediction that of all rows, or of its own `truth` if given.

        Args:
            predictions, groups, truth: of the rows to fit on, (rows,) each; apply the result to later ones.
            bounds: predictions stay within, such as (0, 1).
        """
        values, names = _predictions(predictions, groups)
        target = None if truth is None else np.asarray(truth, dtype=np.float64)
        return Shift(
            {
                name: float((values.mean() if target is None else target[is_member].mean()) - values[is_member].mean())
                for name, is_member in _large(names)
            },
            bounds,
        )

    @staticmethod
    def scale_variances(
        predictions: Sequence[float] | np.ndarray,
        groups: Sequence[Any],
        *,
        bounds: tuple[float, float] = (-np.inf, np.inf),
    ) -> Scale:
        """A stretching of each group that makes the spread of its predictions that of all rows.

        Args:
            predictions, groups: of the rows to fit on, (rows,) each; apply the result to later ones.
            bounds: predictions stay within, such as (0, 1).
        """
        values, names = _predictions(predictions, groups)
        whole = float(values.std())
        moments = {}
        for name, is_member in _large(names):
            spread = float(values[is_member].std())
            moments[name] = (float(values[is_member].mean()), whole / spread if spread > 0 else 1.0)
        return Scale(moments, bounds)

    @staticmethod
    def recalibrate(
        predictions: Sequence[float] | np.ndarray, groups: Sequence[Any], truth: Sequence[float] | np.ndarray
    ) -> Recalibration:
        """A calibration of each group's probabilities by itself; no threshold is involved.

        Groups of fewer than 30 rows, or of one class, share the calibration of all rows.

        Args:
            predictions, groups, truth: of the rows to fit on, (rows,) each; apply the result to later ones.
        """
        values, names = _predictions(predictions, groups)
        labels = np.asarray(truth, dtype=np.float64)
        if len(np.unique(labels)) < 2:
            raise FairnessError("all rows to recalibrate on have the same label")
        return Recalibration(
            {
                name: ProbabilityCalibrator.fit(values[is_member], labels[is_member])
                for name, is_member in _large(names)
                if len(np.unique(labels[is_member])) == 2
            },
            ProbabilityCalibrator.fit(values, labels),
        )

    @staticmethod
    def exponentiated_gradient(
        x: np.ndarray,
        y: np.ndarray,
        groups: Sequence[Any],
        *,
        constraint: str = "equalized_odds",
        estimator: Any = None,
        iterations: int = 10,
        seed: int = 0,
    ) -> "ConstrainedClassifier":
        """Train under a fairness constraint (Agarwal et al., 2018), with Fairlearn.

        Args:
            x: features, (rows, features), with NaN.
            y: labels 0 or 1, (rows,).
            groups: of the rows, (rows,).
            constraint: one of `CONSTRAINTS`.
            estimator: scikit-learn classifier that takes sample weights; default: a small LightGBM.
            iterations: classifiers in the mixture at most.
            seed: of the default estimator.

        Raises:
            FairnessError: if there is no such constraint, or only one group or class.
        """
        import warnings

        import fairlearn.reductions

        if constraint not in CONSTRAINTS:
            raise FairnessError(f"no constraint {constraint}; there is {', '.join(CONSTRAINTS)}")
        names = np.asarray([str(group) for group in groups])
        if len(np.unique(names)) < 2 or len(np.unique(y)) < 2:
            raise FairnessError("a constraint between groups needs two groups and both classes")
        if estimator is None:
            import lightgbm

            estimator = lightgbm.LGBMClassifier(
                n_estimators=60, num_leaves=7, learning_rate=0.08, random_state=seed, verbosity=-1, deterministic=True,
                n_jobs=boosting_threads(None, np.asarray(x)),
            )  # fmt: skip
        moment = getattr(fairlearn.reductions, CONSTRAINTS[constraint])()
        mixture = fairlearn.reductions.ExponentiatedGradient(estimator, moment, max_iter=iterations, eps=0.02)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            mixture.fit(np.asarray(x), np.asarray(y).astype(int), sensitive_features=names)
        chosen = [(weight, mixture.predictors_[index]) for index, weight in mixture.weights_.items() if weight > 0]
        return ConstrainedClassifier(tuple(chosen))


@dataclass(frozen=True)
class ConstrainedClassifier:
    """A mixture of classifiers with their weights, which add up to 1."""

    parts: tuple[tuple[float, Any], ...]

    def score(self, x: np.ndarray) -> np.ndarray:
        """Mean score of the mixture, (rows,): an uncalibrated probability; no coin is tossed."""
        return np.sum([weight * _probability(part, x) for weight, part in self.parts], axis=0)


def _probability(part: Any, x: np.ndarray) -> np.ndarray:
    return part.predict_proba(x)[:, 1] if hasattr(part, "predict_proba") else np.asarray(part.predict(x), dtype=float)


def resampled_rows(inverse: np.ndarray, sizes: np.ndarray, *, seed: int, most: int) -> np.ndarray:
    """Row numbers to add so that every group is as large as the largest, or `most` times its size."""
    rng = np.random.default_rng(seed)
    order = np.argsort(inverse, kind="stable")
    parts = np.split(order, np.cumsum(sizes)[:-1])
    added = np.minimum(sizes.max(), sizes * most) - sizes
    return np.concatenate([rng.choice(part, count) for part, count in zip(parts, added, strict=True)])


def _groups(data: Any, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Names of the groups, the group number of each row, and the sizes."""
    if column not in data.columns:
        raise FairnessError(f"no column {column}; the data has {', '.join(map(str, data.columns))}")
    if len(data) == 0:
        raise FairnessError("the data has no rows: there are no groups to balance")
    values = data[column] if isinstance(data, pl.DataFrame) else pl.from_pandas(data[column].reset_index(drop=True))
    names = values.cast(pl.String).fill_null("unknown").to_numpy()
    return np.unique(names.astype(str), return_inverse=True, return_counts=True)


def _predictions(predictions: Any, groups: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    values = np.asarray(predictions, dtype=np.float64)
    if len(values) != len(groups):
        raise FairnessError(f"{len(values)} predictions but {len(groups)} groups")
    if len(values) == 0 or not np.isfinite(values).all():
        raise FairnessError("predictions must be finite numbers, at least one of them")
    return values, np.asarray([str(group) for group in groups])


def _large(names: np.ndarray) -> list[tuple[str, np.ndarray]]:
    groups, sizes = np.unique(names, return_counts=True)
    return [(str(name), names == name) for name, size in zip(groups, sizes, strict=True) if size >= _FEWEST]
