"""Does the pattern of what is unknown alone tell the answer? Then being known depends on what came later."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from qc_assets.learning.dataset import Dataset
from qc_assets.learning.metrics.bootstrap import Estimate, evaluate
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.splits import TimeSplit
from qc_assets.learning.task import task_of
from qc_assets.learning.task.terms import Known

# Less than two points of ROC AUC, or concordance, move no payout.
_TELLS = 0.52
_RESAMPLES = 200


@dataclass(frozen=True)
class Missingness:
    """What a model that knows only which features are unknown reaches on the test window.

    Attributes:
        features: those whose being unknown is a matter of our watching, and varies.
        metric: what was measured; one half is chance.
        reached: the metric; None where nothing was measured.
        reason: why not; empty if it was.
    """

    features: tuple[str, ...]
    metric: str
    reached: Estimate | None
    reason: str = ""

    @property
    def tells(self) -> bool | None:
        """Whether it surely beats chance; None where that cannot be judged, False where nothing is ever unknown."""
        if self.reached is None:
            return None if self.reason else False
        return None if self.reached.lower is None else self.reached.is_surely_above(_TELLS)

    def __str__(self) -> str:
        if self.reached is None:
            return self.reason or "no feature is unknown for some rows and known for others"
        return f"what is unknown of {', '.join(self.features)} reaches {self.metric} {self.reached:.3f} by itself"


def measure_missingness(
    spec: ModelSpec, data: Dataset, split: TimeSplit, known: dict[str, Known], context: dict[str, Any], seed: int
) -> Missingness:
    """Fit the plainest rival to which features are unknown in the train window, and judge it on the test window."""
    task = task_of(spec)
    label = task.metrics[task.quality].label
    if not task.chance:
        return Missingness((), label, None, "not measured for this kind of answer")
    columns = [index for index, name in enumerate(spec.features) if name not in spec.missing_is_a_fact]
    unknown = np.isnan(data.x[:, columns])
    share = unknown[split.train].mean(axis=0)
    varies = (share > 0) & (share < 1)
    names = tuple(spec.features[index] for index, differs in zip(columns, varies, strict=True) if differs)
    if not names:
        return Missingness((), label, None)
    x, plainest = unknown[:, varies].astype(np.float64), task.rivals[0]
    estimator = task.fit(plainest.kind, plainest.defaults, x[split.train], known["train"], seed=seed, threads=1)
    test = known["test"]
    statistics = task.statistics(test.y, task.uncalibrated(estimator.score(x[split.test]), context))
    needs = {task.quality: task.needs[task.quality]}
    sampling = {"resamples": _RESAMPLES, "seed": seed}
    measured = evaluate(statistics, statistics, test.weights, needs, **sampling, units=test.units)
    return Missingness(names, label, measured[task.quality])
