"""Figures of a training, as PNG bytes."""

from typing import Any

import numpy as np

from qc_assets.learning.explain import tree_contributions
from qc_assets.learning.metrics.bootstrap import MISSING
from qc_assets.learning.plots import png, png_of_figure
from qc_assets.learning.task import task_of
from qc_assets.learning.trained import Trained


def training_figures(trained: Trained) -> dict[str, bytes]:
    """Every figure of a training, by name; which ones depends on the task."""
    known = trained.known["test"]
    answers = trained.best.predictions
    drawn = {"performance": performance(trained), "by_month": by_month(trained)}
    drawn |= task_of(trained.spec).figures(trained.spec.classes, known, answers)
    if trained.importance:
        drawn["importance"] = importance(trained)
    if (summary := shap_summary(trained)) is not None:
        drawn["shap"] = summary
    return drawn


def performance(trained: Trained) -> bytes:
    """Every candidate's judged metrics on the test window, with intervals, beside the trivial answer."""
    task, metrics = task_of(trained.spec), list(trained.spec.margins)
    names = [candidate.kind.replace("_", " ") for candidate in trained.candidates]

    def draw(figure: Any) -> None:
        for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
            estimates = [candidate.evaluations["test"][metric] for candidate in trained.candidates]
            numbers = np.array([[each.value, each.lower, each.upper] for each in estimates], dtype=float)  # None is NaN
            spread = np.abs(numbers[:, 1:].T - numbers[:, 0])
            axes.errorbar(numbers[:, 0], names, xerr=spread, fmt="o", color="tab:blue", capsize=3)
            for place, estimate in enumerate(estimates):
                if estimate.value is None:
                    text = f"{MISSING} {estimate.reason}"
                    note = axes.annotate(text, (0.02, place), xycoords=("axes fraction", "data"), fontsize=7)
                    note.set_in_layout(False)  # a long reason would leave no room for the axes
            if estimates[0].baseline is not None:
                axes.axvline(estimates[0].baseline, color="0.6", linestyle="--", label=task.trivial_name)
                axes.legend(fontsize=8)
            better = "higher" if task.metrics[metric].higher_is_better else "lower"
            axes.set(xlabel=f"{task.metrics[metric].label} ({better} is better)")
            axes.margins(y=0.3)
        figure.suptitle("Candidates on the test window")

    return png_of_figure(draw, (4.2 * len(metrics), 3.2))


def by_month(trained: Trained) -> bytes:
    """The selection metric of the best candidate by month of opening, over calibration and test windows."""
    task, data, split = task_of(trained.spec), trained.data, trained.split
    best = trained.best
    rows = np.concatenate([split.calibration, split.test])
    y = np.concatenate([trained.known["calibration"].y, trained.known["test"].y])
    weights = np.concatenate([trained.known["calibration"].weights, trained.known["test"].weights])
    answers = np.concatenate([best.calibrator(best.calibration_scores), best.predictions])
    month = data.opened_at[rows].astype("datetime64[M]")
    first_tested = month[len(split.calibration)]
    names: list[str] = []
    values: list[float] = []
    boundary = 0
    for each in np.unique(month):
        mask = month == each
        if weights[mask].sum() > 0:
            metrics = task.statistics(y[mask], answers[mask])(weights[mask][None, :])
            boundary = len(names) if each <= first_tested else boundary
            names.append(f"{each}\n{mask.sum():,} rows")
            values.append(float(metrics[task.selection][0]))

    def draw(axes: Any) -> None:
        axes.plot(names, values, "o-", color="tab:blue")
        axes.axvline(boundary, color="0.6", linestyle="--", label="test window begins")
        axes.set(ylabel=task.metrics[task.selection].label, title="By month of opening")
        axes.legend(fontsize=8)

    return png(draw, (6.4, 3.4))


def importance(trained: Trained, top: int = 15) -> bytes:
    """The features whose shuffling costs the most."""
    task = task_of(trained.spec)

    def draw(axes: Any) -> None:
        names = list(trained.importance)[:top][::-1]
        axes.barh(names, [trained.importance[name] for name in names], color="tab:blue")
        axes.set(xlabel=f"loss of {task.metrics[task.quality].label} when shuffled", title="Permutation importance")

    return png(draw, (6.4, 4.2))


def shap_summary(trained: Trained, top: int = 12, rows: int = 400) -> bytes | None:
    """Shapley values of test rows for the strongest features, coloured by the feature's value; boosted trees only."""
    x = trained.data.x[trained.split.test][:: max(1, len(trained.split.test) // rows)]
    values = tree_contributions(trained.best.estimator, x) if x.dtype == np.float64 else None
    if values is None:
        return None
    order = np.argsort(-np.abs(values).mean(axis=0))[:top][::-1]

    def draw(axes: Any) -> None:
        spread = np.random.default_rng(0).uniform(-0.3, 0.3, len(x))
        for place, index in enumerate(order):
            ranks = np.argsort(np.argsort(x[:, index])) / len(x)
            colour = np.where(np.isnan(x[:, index]), np.nan, ranks)
            axes.scatter(values[:, index], place + spread, c=colour, cmap="coolwarm", s=5, plotnonfinite=False)
        axes.axvline(0, color="0.6", linewidth=1)
        axes.set_yticks(range(len(order)), [trained.spec.features[index] for index in order])
        axes.set(xlabel="contribution to the score (blue: low value, red: high)", title="Shapley values, test window")

    return png(draw, (6.8, 4.6))
