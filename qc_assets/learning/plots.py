"""Figures as PNG bytes, drawn without a display."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from qc_assets.learning.metrics.probability_metrics import N_BINS

_COLOURS = ("tab:blue", "tab:orange")


def png(draw: Callable[[Any], None], size: tuple[float, float]) -> bytes:
    """What `draw` puts on axes of `size` inches, as a PNG."""
    return png_of_figure(lambda figure: draw(figure.add_subplot()), size)


def png_of_figure(draw: Callable[[Any], None], size: tuple[float, float]) -> bytes:
    """What `draw` puts on a figure of `size` inches, as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    canvas = FigureCanvasAgg(Figure(figsize=size, dpi=80, layout="constrained"))
    draw(canvas.figure)
    buffer = io.BytesIO()
    canvas.print_png(buffer)  # `savefig` draws twice
    return buffer.getvalue()


def calibration_curve(labels: np.ndarray, predictions: np.ndarray) -> bytes:
    """Predicted against observed share in 15 equal-mass bins, with the 95 % interval of each bin (Wilson, 1927)."""
    return calibration_curves({"model": (labels, predictions)})


def calibration_curves(curves: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> bytes:
    """Several calibration curves, each of labels and predictions, (rows,); see `calibration_curve`."""

    def draw(axes: Any) -> None:
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1, label="perfect")
        for (name, (labels, predictions)), colour in zip(curves.items(), _COLOURS, strict=False):
            order = np.argsort(predictions, kind="stable")
            bins = np.array_split(order, min(N_BINS, len(order)))
            predicted = np.array([predictions[rows].mean() for rows in bins])
            observed = np.array([labels[rows].mean() for rows in bins])
            n = np.array([len(rows) for rows in bins])
            centre = (observed + 1.92 / n) / (1 + 3.84 / n)
            half = 1.96 * np.sqrt(observed * (1 - observed) / n + 0.96 / n**2) / (1 + 3.84 / n)
            axes.vlines(predicted, centre - half, centre + half, color=colour, alpha=0.4)
            axes.plot(predicted, observed, "o-", color=colour, markersize=4, label=name)
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
    return coverages(hours, {"model": answers})


def coverages(hours: np.ndarray, versions: Mapping[str, np.ndarray]) -> bytes:
    """Shares within the intervals of several versions, whose answers are (rows, 3); see `coverage`."""

    def draw(axes: Any) -> None:
        axes.axhspan(0.77, 0.83, color="0.85", label="80 ± 3 %")
        for (name, answers), colour in zip(versions.items(), _COLOURS, strict=False):
            lower, median, upper = answers.T
            inside = (hours >= lower * (1 - 1e-9)) & (hours <= upper * (1 + 1e-9))
            parts = np.array_split(np.argsort(median, kind="stable"), min(10, len(hours)))
            shares = [inside[part].mean() for part in parts]
            axes.plot(range(1, len(parts) + 1), shares, "o-", color=colour, label=name)
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
