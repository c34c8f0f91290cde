"""Gates that a model must pass, and champion against challenger."""

from dataclasses import dataclass

import numpy as np

from qc_assets.models.bundle import Bundle
from qc_assets.models.metrics import HIGHER_IS_BETTER, paired_differences
from qc_assets.models.training import Options, Trained, recent_rows

# Ranking and calibrated accuracy; Brier says the same as log loss, and ECE alone rewards a constant.
JUDGED = ("roc_auc", "log_loss")


@dataclass(frozen=True)
class Gate:
    """A promise that a trained model keeps or breaks."""

    name: str
    passed: bool
    detail: str


@dataclass(frozen=True)
class Decision:
    """Whether a challenger becomes champion, and why."""

    promote: bool
    reason: str


def gates(trained: Trained) -> list[Gate]:
    """Check the trained model against its spec.

    `beats_base_rate` asks that the calibrated probabilities carry information: a lower log loss than always
    predicting the base rate.
    """
    spec = trained.spec
    test = trained.best.evaluations["test"]
    rows, auc, loss = len(trained.data), test["roc_auc"], test["log_loss"]
    return [
        Gate(
            "enough_labelled_rows",
            rows >= spec.min_rows,
            f"{rows} labelled rows, at least {spec.min_rows} needed",
        ),
        Gate(
            "auc_above_threshold",
            auc.value >= spec.min_auc,
            f"ROC AUC {auc.value:.3f} ({auc.lower:.3f} to {auc.upper:.3f}) on the test window, "
            f"threshold {spec.min_auc:.2f}",
        ),
        Gate(
            "beats_base_rate",
            loss.value < loss.baseline,
            f"log loss {loss.value:.4f} against {loss.baseline:.4f} for the base rate",
        ),
    ]


def decide(
    trained: Trained, passed: list[Gate], champion: Bundle | None, *, is_synthetic: bool, options: Options
) -> Decision:
    """Promote unless a gate failed or a paired bootstrap finds a regression against the champion.

    Both models predict the same rows of the challenger's test window. A regression is a difference in ROC AUC or
    log loss whose 95 % interval lies wholly on the bad side, on the whole window or on its last 30 days.

    A model trained on made-up data never replaces one trained on real data, and always gives way to one.
    """
    failed = [gate for gate in passed if not gate.passed]
    if failed:
        return Decision(False, "; ".join(f"{gate.name} failed: {gate.detail}" for gate in failed))
    if champion is None:
        return Decision(True, "the first version to pass its gates")
    if champion.is_synthetic and not is_synthetic:
        return Decision(True, "the champion was trained on synthetic data")
    if is_synthetic and not champion.is_synthetic:
        return Decision(False, "trained on synthetic data, and the champion on real data")
    missing = [name for name in champion.features if name not in trained.data.frame.columns]
    if missing:
        return Decision(True, f"the champion needs features that are no more: {', '.join(missing)}")
    rows = trained.split.test
    theirs = champion.predict(trained.data.frame[rows])
    recent = recent_rows(trained.data, rows)
    regressions: list[str] = []
    gains: list[str] = []
    for window, mask in (("the test window", np.ones_like(recent)), ("its last 30 days", recent)):
        labels = trained.data.y[rows][mask]
        differences = paired_differences(
            labels,
            trained.best.predictions[mask],
            theirs[mask],
            resamples=options.resamples,
            seed=options.seed,
        )
        for metric in JUDGED:
            difference, lower, upper = differences[metric]
            worse = upper < 0 if HIGHER_IS_BETTER[metric] else lower > 0
            sentence = f"{metric} {difference:+.4f} ({lower:+.4f} to {upper:+.4f}) on {window}"
            (regressions if worse else gains).append(sentence)
    if regressions:
        return Decision(False, f"worse than the champion: {'; '.join(regressions)}")
    return Decision(True, f"no regression against the champion: {'; '.join(gains)}")
