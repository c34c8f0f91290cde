"""Figures as PNG bytes, drawn without a display."""

import io
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from qc_assets.models.metrics import N_BINS
from qc_assets.models.training import Trained


def _png(draw: Callable[[Any], None], size: tuple[float, float]) -> bytes:
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    draw(figure.add_subplot())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=80)
    return buffer.getvalue()


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

    return _png(draw, (4.6, 4.2))


def roc_curve(labels: np.ndarray, predictions: np.ndarray) -> bytes:
    """Receiver operating characteristic of the test window."""

    def draw(axes: Any) -> None:
        from sklearn.metrics import RocCurveDisplay

        RocCurveDisplay.from_predictions(labels, predictions, ax=axes, name="model", plot_chance_level=True)
        axes.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC on the test window")

    return _png(draw, (4.6, 4.2))


def importance(trained: Trained, top: int = 15) -> bytes:
    """The features whose shuffling costs the most ROC AUC."""

    def draw(axes: Any) -> None:
        names = list(trained.importance)[:top][::-1]
        axes.barh(names, [trained.importance[name] for name in names], color="tab:blue")
        axes.set(xlabel="drop of ROC AUC when shuffled", title="Permutation importance")

    return _png(draw, (6.4, 4.2))


def funnel(steps: Sequence[str], counts: Sequence[int]) -> bytes:
    """Horizontal bars, one a step, with their counts."""

    def draw(axes: Any) -> None:
        bars = axes.barh(list(steps)[::-1], list(counts)[::-1], color="tab:blue")
        axes.bar_label(bars, fmt="{:,.0f}", padding=3)
        axes.margins(x=0.15)
        axes.set(xlabel="pull requests", title="From all pull requests to those that p0 learns from")

    return _png(draw, (7.0, 3.2))


def weekly(weeks: Sequence[Any], series: dict[str, Sequence[float]]) -> bytes:
    """Lines by week, one a series."""

    def draw(axes: Any) -> None:
        for name, values in series.items():
            axes.plot(list(weeks), list(values), label=name)
        axes.tick_params(axis="x", rotation=30)
        axes.set(title="Activity by week")
        axes.legend()

    return _png(draw, (7.0, 3.2))
