"""The estimators that compete for a model, and formats that are safe to load."""

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qc_assets.errors import QcError
from qc_assets.learning.fast_forest import FlatForest
from qc_assets.learning.fast_line import FlatLine
from qc_assets.learning.monotony import turn_signs
from qc_assets.learning.safe_skops import load_skops, skops_io
from qc_assets.learning.spec import Parameters

# Up to so many rows LightGBM walks a forest, and boosted trees take one thread.
_FEW = 200
# Up to so many numbers boosting takes one thread. Every tree has many short parts that run side by side, and between
# them threads wait for each other: of 2,000 rows of 38 features two threads take the time of one where nothing else
# runs, and five times as long where something does.
_FEW_NUMBERS = 1_000_000


class LightGBMEstimator:
    """Gradient-boosted trees, kept in LightGBM's own text format.

    Args:
        booster: a ``lightgbm.Booster``.
    """

    file = "model.lightgbm.txt"

    def __init__(self, booster: Any) -> None:
        self.booster = booster

    def score(self, x: np.ndarray) -> np.ndarray:
        few = {"num_threads": 1} if len(x) <= _FEW else {}
        return np.asarray(self.booster.predict(x, **few))

    def save(self, folder: Path) -> None:
        self.booster.save_model(str(folder / self.file))

    @classmethod
    def load(cls, folder: Path) -> "LightGBMEstimator":
        import lightgbm

        return cls(lightgbm.Booster(model_file=str(folder / cls.file)))


class SklearnEstimator:
    """A scikit-learn model, kept in the skops format, which runs no code when loaded.

    Args:
        model: a fitted classifier of two classes, or a regressor.
    """

    file = "model.skops"

    def __init__(self, model: Any) -> None:
        self.model = model
        if hasattr(model, "n_jobs"):
            # Threads would add up the trees in whatever order they finish, and the last digit would differ.
            self.model.n_jobs = 1

    @cached_property
    def _line(self) -> FlatLine | None:
        return FlatLine(self.model) if FlatLine.fits(self.model) else None

    @cached_property
    def _forest(self) -> FlatForest | None:
        return FlatForest(self.model) if hasattr(self.model, "estimators_") else None

    def score(self, x: np.ndarray) -> np.ndarray:
        if self._line is not None:
            return self._line.score(x)
        if len(x) <= _FEW and self._forest is not None:
            return self._forest.score(x)
        if hasattr(self.model, "predict_proba"):
            return np.asarray(self.model.predict_proba(x)[:, 1])
        return np.asarray(self.model.predict(x))

    def save(self, folder: Path) -> None:
        skops_io().dump(self.model, folder / self.file)

    @classmethod
    def load(cls, folder: Path) -> "SklearnEstimator":
        return cls(load_skops(folder / cls.file))


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


AnyEstimator = LightGBMEstimator | SklearnEstimator | XGBoostEstimator


def fit_classifier(
    kind: str,
    parameters: Parameters,
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    *,
    seed: int,
    threads: int | None,
    signs: tuple[int, ...] = (),
) -> AnyEstimator:
    """Fit one classifier by its likelihood, so that its scores are probabilities before any calibration.

    Classes are not balanced: that distorts the scores, and the map that undoes it is fitted to one window's base rate.

    Args:
        kind: ``random_forest``, ``lightgbm``, ``xgboost`` or ``logistic``.
        parameters: the estimator's parameters.
        x: features, (rows, features) with NaN.
        y: labels 0 or 1, (rows,).
        weights: of the rows, (rows,).
        seed: the same seed, rows and threads give the same estimator.
        threads: None means all cores.
        signs: of the first features, see `ModelSpec.signs`; the others are free.
    """
    bound = (*signs, *[0] * (x.shape[1] - len(signs))) if any(signs) else None
    if kind == "random_forest":
        from sklearn.ensemble import RandomForestClassifier

        sample = _tree_sample(len(y)) | {"monotonic_cst": bound}
        forest = RandomForestClassifier(n_jobs=threads or -1, random_state=seed, **sample, **parameters)
        return SklearnEstimator(forest.fit(x, y, sample_weight=weights))
    if kind == "lightgbm":
        import lightgbm

        kept = {"monotone_constraints": bound} if bound else {}
        classifier = lightgbm.LGBMClassifier(**_lightgbm(seed, boosting_threads(threads, x)), **kept, **parameters)
        return LightGBMEstimator(classifier.fit(x, y, sample_weight=weights).booster_)
    if kind == "xgboost":
        import xgboost

        how = _xgboost(seed, boosting_threads(threads, x))
        boosted = xgboost.XGBClassifier(**how, monotone_constraints=bound, **parameters)
        return XGBoostEstimator(boosted.fit(x, y, sample_weight=weights).get_booster())
    if kind == "logistic":
        from sklearn.linear_model import LogisticRegression
        from sklearn.preprocessing import StandardScaler

        # Ranks, not normal scores: in the tails of a window that others filled, a line would be sure of itself.
        model = _scaled(LogisticRegression(max_iter=1_000, **parameters), len(y), seed, StandardScaler(), as_="uniform")
        model.fit(x, y, logisticregression__sample_weight=weights)
        if bound:
            turn_signs(model, x, y, weights, bound)
        return SklearnEstimator(model)
    raise QcError(f"no classifier called {kind}")


def fit_regressor(
    kind: str,
    parameters: Parameters,
    x: np.ndarray,
    y: np.ndarray,
    weights: np.ndarray,
    *,
    seed: int,
    threads: int | None,
) -> AnyEstimator:
    """Fit one regressor of a typical value: boosted trees of the median, unless the parameters have another objective,
    the others of what they can.

    Args:
        kind: ``linear``, ``random_forest``, ``svm``, ``lightgbm`` or ``xgboost``.
        parameters: the estimator's parameters.
        x: features, (rows, features) with NaN.
        y: target, (rows,).
        weights: of the rows, (rows,).
        seed: the same seed, rows and threads give the same estimator.
        threads: None means all cores.
    """
    if kind == "linear":
        from sklearn.linear_model import Ridge

        model = _scaled(Ridge(**parameters), len(y), seed)
        return SklearnEstimator(model.fit(x, y, ridge__sample_weight=weights))
    if kind == "svm":
        from sklearn.kernel_approximation import Nystroem
        from sklearn.linear_model import SGDRegressor

        # A support vector regression in the primal: epsilon-insensitive loss on an approximated kernel
        # (Williams and Seeger, 2001), whose cost grows with the rows and not with their square.
        names = ("gamma", "n_components")
        components = min(parameters["n_components"], len(y))
        kernel = Nystroem(gamma=parameters["gamma"], n_components=components, random_state=seed)
        loss = {"loss": "epsilon_insensitive", "learning_rate": "adaptive", "eta0": 0.05, "max_iter": 30, "tol": None}
        others = {name: value for name, value in parameters.items() if name not in names}
        model = _scaled(SGDRegressor(random_state=seed, **loss, **others), len(y), seed, kernel)
        # Weights scale the steps: a mean of 1 keeps these as long as they are meant to be.
        return SklearnEstimator(model.fit(x, y, sgdregressor__sample_weight=weights / weights.mean()))
    if kind == "random_forest":
        from sklearn.ensemble import RandomForestRegressor

        forest = RandomForestRegressor(n_jobs=threads or -1, random_state=seed, **_tree_sample(len(y)), **parameters)
        return SklearnEstimator(forest.fit(x, y, sample_weight=weights))
    if kind == "lightgbm":
        import lightgbm

        median = {"objective": "quantile", "alpha": 0.5}
        regressor = lightgbm.LGBMRegressor(**median | _lightgbm(seed, boosting_threads(threads, x)) | parameters)
        return LightGBMEstimator(regressor.fit(x, y, sample_weight=weights).booster_)
    if kind == "xgboost":
        import xgboost

        boosted = xgboost.XGBRegressor(
            objective="reg:quantileerror",
            quantile_alpha=0.5,
            **_xgboost(seed, boosting_threads(threads, x)),
            **parameters,
        )
        return XGBoostEstimator(boosted.fit(x, y, sample_weight=weights).get_booster())
    raise QcError(f"no regressor called {kind}")


def _tree_sample(rows: int) -> dict[str, Any]:
    """Each tree of a forest sees at most so many rows: more cost time and say nothing new."""
    return {"max_samples": 40_000} if rows > 40_000 else {}


def boosting_threads(threads: int | None, x: np.ndarray) -> int | None:
    """Threads for boosting on `x`, (rows, features), of which `threads` are allowed; None means all cores."""
    return threads or (1 if x.size <= _FEW_NUMBERS else None)


def _lightgbm(seed: int, threads: int | None) -> dict[str, Any]:
    return {
        "n_jobs": threads or -1,
        "random_state": seed,
        "deterministic": True,
        "force_col_wise": True,
        "verbosity": -1,
    }


def _xgboost(seed: int, threads: int | None) -> dict[str, Any]:
    return {"tree_method": "hist", "n_jobs": threads or 0, "random_state": seed, "verbosity": 0}


def _scaled(model: Any, rows: int, seed: int, *steps: Any, as_: str = "normal") -> Any:
    """Unknown values become medians with a flag, and every feature follows one distribution, whatever its tails."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer

    spread = QuantileTransformer(
        n_quantiles=min(200, rows), output_distribution=as_, subsample=20_000, random_state=seed
    )
    # A feature that is unknown throughout would otherwise be dropped here and missed there.
    return make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True), spread, *steps, model
    )


def load_estimator(folder: Path) -> AnyEstimator:
    """Load whichever estimator lies in `folder`.

    Raises:
        QcError: if there is none.
    """
    for kind in (LightGBMEstimator, SklearnEstimator, XGBoostEstimator):
        if (folder / kind.file).exists():
            return kind.load(folder)
    raise QcError(f"no estimator in {folder}")
