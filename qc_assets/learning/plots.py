"""Figures as PNG bytes, drawn without a display."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qc_assets.learning.explain import tree_contributions
from qc_assets.learning.metrics.probability_metrics import N_BINS
from qc_assets.learning.task import task_of
from qc_assets.learning.trained import Trained


def png(draw: Callable[[Any], None], size: tuple[float, float]) -> bytes:
    """What `draw` puts on axes of `size` inches, as a PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    draw(figure.add_subplot())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()


def figures(trained: Trained) -> dict[str, bytes]:
    """Every figure of a training, by name; which ones depends on the task."""
    known = trained.known["test"]
    answers = trained.best.predictions
    found = {"performance": performance(trained), "by_month": by_month(trained)}
    if trained.spec.task == "probability":
        found |= {
            "calibration": calibration_curve(known.y, answers),
            "roc": roc_curve(known.y, answers),
            "precision_recall": precision_recall_curve(known.y, answers),
        }
    elif trained.spec.task == "duration":
        seen = known.weights > 0
        hours = np.expm1(known.y[seen])
        found |= {"residuals": residuals(hours, answers[seen]), "coverage": coverage(hours, answers[seen])}
    elif trained.spec.task == "category":
        right = (answers.argmax(axis=1) == known.y).astype(float)
        found |= {
            "confusion": confusion(known.y, answers, trained.spec.classes),
            "calibration": calibration_curve(right, answers.max(axis=1)),
        }
    if trained.importance:
        found["importance"] = importance(trained)
    if (summary := shap_summary(trained)) is not None:
        found["shap"] = summary
    return found


def performance(trained: Trained) -> bytes:
    """Every candidate's judged metrics on the test window, with intervals, beside the trivial answer."""
    task, metrics = task_of(trained.spec), list(trained.spec.margins)

    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(metrics), 3.2), layout="constrained")
    names = [one.kind.replace("_", " ") for one in trained.candidates]
    for axes, metric in zip(figure.subplots(1, len(metrics), squeeze=False)[0], metrics, strict=True):
        found = [one.evaluations["test"][metric] for one in trained.candidates]
        values = np.array([one.value for one in found])
        spread = np.abs(np.array([[one.lower, one.upper] for one in found]).T - values)
        axes.errorbar(values, names, xerr=spread, fmt="o", color="tab:blue", capsize=3)
        if np.isfinite(found[0].baseline):
            axes.axvline(found[0].baseline, color="0.6", linestyle="--", label=task.trivial_name)
            axes.legend(fontsize=8)
        better = "higher" if task.metrics[metric].higher_is_better else "lower"
        axes.set(xlabel=f"{task.metrics[metric].label} ({better} is better)")
        axes.margins(y=0.3)
    figure.suptitle("Candidates on the test window")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()


def by_month(trained: Trained) -> bytes:
    """The selection metric of the best candidate by month of opening, over calibration and test windows."""
    task, data, split = task_of(trained.spec), trained.data, trained.split
    best = trained.best
    rows = np.concatenate([split.calibration, split.test])
    y = np.concatenate([trained.known["calibration"].y, trained.known["test"].y])
    weights = np.concatenate([trained.known["calibration"].weights, trained.known["test"].weights])
    answers = np.concatenate([best.calibrator(best.estimator.score(data.x[split.calibration])), best.predictions])
    month = data.opened_at[rows].astype("datetime64[M]")
    first_tested = month[len(split.calibration)]
    names: list[str] = []
    values: list[float] = []
    boundary = 0
    for one in np.unique(month):
        mask = month == one
        if weights[mask].sum() > 0:
            found = task.statistics(y[mask], answers[mask])(weights[mask][None, :])
            boundary = len(names) if one <= first_tested else boundary
            names.append(f"{one}\n{mask.sum():,} rows")
            values.append(float(found[task.selection][0]))

    def draw(axes: Any) -> None:
        axes.plot(names, values, "o-", color="tab:blue")
        axes.axvline(boundary, color="0.6", linestyle="--", label="test window begins")
        axes.set(ylabel=task.metrics[task.selection].label, title="By month of opening")
        axes.legend(fontsize=8)

    return png(draw, (6.4, 3.4))


def calibration_curve(labels: np.ndarray, predictions: np.ndarray) -> bytes:
    """Predicted against observed share in 15 equal-mass bins, with the 95 % interval of each bin (Wilson, 1927)."""

    def draw(axes: Any) -> None:
        order = np.argsort(predictions, kind="stable")
        bins = np.array_split(order, min(N_BINS, len(order)))
        predicted = np.array([predictions[rows].mean() for rows in bins])
        observed = np.array([labels[rows].mean() for rows in bins])
        n = np.array([len(rows) for rows in bins])
        centre = (observed + 1.92 / n) / (1 + 3.84 / n)
        half = 1.96 * np.sqrt(observed * (1 - observed) / n + 0.96 / n**2) / (1 + 3.84 / n)
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfect")
        axes.vlines(predicted, centre - half, centre + half, color="tab:blue", alpha=0.4)
        axes.plot(predicted, observed, "o-", color="tab:blue", markersize=4, label="model")
        axes.set(xlabel="predicted probability", ylabel="observed share", title="Calibration on the test window")
        axes.legend(loc="upper left")

    return png(draw, (4.6, 4.2))


def roc_curve(labels: np.ndarray, predictions: np.ndarray) -> bytes:
    """Receiver operating characteristic of the test window."""

    def draw(axes: Any) -> None:
        from sklearn.metrics import RocCurveDisplay

        RocCurveDisplay.from_predictions(labels, predictions, ax=axes, name="model", plot_chance_level=True)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC on the test window")

    return png(draw, (4.6, 4.2))


def precision_recall_curve(labels: np.ndarray, predictions: np.ndarray) -> bytes:
    """Precision against recall on the test window."""

    def draw(axes: Any) -> None:
        from sklearn.metrics import PrecisionRecallDisplay

        PrecisionRecallDisplay.from_predictions(labels, predictions, ax=axes, name="model", plot_chance_level=True)
        axes.set(xlabel="recall", ylabel="precision", title="Precision and recall on the test window")

    return png(draw, (4.6, 4.2))


def residuals(hours: np.ndarray, answers: np.ndarray) -> bytes:
    """What happened against the predicted median, with the interval, on logarithmic axes."""

    def draw(axes: Any) -> None:
        order = np.argsort(answers[:, 1], kind="stable")[:: max(1, len(hours) // 1_500)]
        lower, median, upper = (np.maximum(answers[order, column], 0.1) for column in range(3))
        axes.fill_between(median, lower, upper, color="tab:blue", alpha=0.2, label="80 % interval", linewidth=0)
        axes.plot(median, np.maximum(hours[order], 0.1), ".", color="0.3", markersize=2, label="what happened")
        axes.plot(median, median, color="tab:blue", linewidth=1, label="predicted median")
        axes.set(xscale="log", yscale="log", xlabel="predicted median, hours", ylabel="hours, up to the horizon")
        axes.set(title="Predicted and actual on the test window")
        axes.legend(fontsize=8)

    return png(draw, (5.2, 4.2))


def coverage(hours: np.ndarray, answers: np.ndarray) -> bytes:
    """Share within the interval, by tenth of the predicted median."""

    def draw(axes: Any) -> None:
        lower, median, upper = answers.T
        inside = (hours >= lower * (1 - 1e-9)) & (hours <= upper * (1 + 1e-9))
        parts = np.array_split(np.argsort(median, kind="stable"), min(10, len(hours)))
        axes.plot(range(1, len(parts) + 1), [inside[part].mean() for part in parts], "o-", color="tab:blue")
        axes.axhspan(0.77, 0.83, color="0.85", label="80 ± 3 %")
        axes.set(ylim=(0, 1), xlabel="tenth of the predictions, quickest first", ylabel="share within the interval")
        axes.set(title="Coverage of the 80 % interval")
        axes.legend(loc="lower left")

    return png(draw, (5.2, 3.4))


def confusion(labels: np.ndarray, answers: np.ndarray, classes: Sequence[str]) -> bytes:
    """What was answered for each true category, as shares of it."""

    def draw(axes: Any) -> None:
        from sklearn.metrics import ConfusionMatrixDisplay

        ConfusionMatrixDisplay.from_predictions(
            labels,
            answers.argmax(axis=1),
            labels=range(len(classes)),
            display_labels=[name.replace("_", "\n") for name in classes],
            normalize="true",
            values_format=".0%",
            ax=axes,
            cmap="Blues",
            colorbar=False,
        )
        axes.set(title="Confusion on the test window")

    return png(draw, (6.0, 5.0))


def importance(trained: Trained, top: int = 15) -> bytes:
    """The features whose shuffling costs the most."""
    task = task_of(trained.spec)

    def draw(axes: Any) -> None:
        names = list(trained.importance)[:top][::-1]
        axes.barh(names, [trained.importance[name] for name in names], color="tab:blue")
        axes.set(xlabel=f"loss of {task.metrics[task.selection].label} when shuffled", title="Permutation importance")

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


def funnel(steps: Sequence[str], counts: Sequence[int], what: str, title: str) -> bytes:
    """Horizontal bars, one a step, with their counts."""

    def draw(axes: Any) -> None:
        bars = axes.barh(list(steps)[::-1], list(counts)[::-1], color="tab:blue")
        axes.bar_label(bars, fmt="{:,.0f}", padding=3)
        axes.margins(x=0.15)
        axes.set(xlabel=what, title=title)

    return png(draw, (7.0, 3.2))


def weekly(weeks: Sequence[Any], series: Mapping[str, Sequence[float]], title: str = "Activity by week") -> bytes:
    """Lines by week, one a series."""

    def draw(axes: Any) -> None:
        for name, values in series.items():
            axes.plot(list(weeks), list(values), label=name)
        axes.tick_params(axis="x", rotation=30)
        axes.set(title=title)
        axes.legend()

    return png(draw, (7.0, 3.2))
