"""Plain models on the same rows and features: what surely loses to one of them is not worth serving."""

from dataclasses import dataclass

from qc_assets.learning.metrics.bootstrap import Estimate
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of


@dataclass(frozen=True)
class Rival:
    """A plain model beside the one that was trained, on the test window.

    Attributes:
        kind: what it is, such as ``logistic``.
        evaluations: its metrics.
        differences: the model's metrics minus its own, paired on the same rows.
        tolerance: how much of the margin of the task's loss the model may be worse by, surely.
    """

    kind: str
    evaluations: dict[str, Estimate]
    differences: dict[str, Estimate]
    tolerance: float = 0.1

    def surely_beats(self, spec: ModelSpec) -> list[str]:
        """The metrics in which it surely beats the model; none if the model surely beats it in another.

        A sure loss in the task's loss counts beyond `tolerance` of its margin, and in another judged metric beyond all
        of it: a hundredth of a point, though sure, is worth nothing.
        """
        task = task_of(spec)
        limits = {name: -margin for name, margin in spec.margins.items()} | {
            task.loss: -spec.margins.get(task.loss, 0.0) * self.tolerance
        }
        gains = {name: self.differences[name].times(task.metrics[name].sign) for name in limits}
        if any(gain.is_surely_above(0) for gain in gains.values()):
            return []
        return [name for name, gain in gains.items() if gain.is_surely_below(limits[name])]

    def compared(self, spec: ModelSpec) -> str:
        """The judged metrics of both, in words."""
        labels = task_of(spec).metrics
        numbers = (f"{labels[name].label} {self.differences[name]:+.4f}" for name in spec.margins)
        return f"against {self.kind.replace('_', ' ')} {', '.join(numbers)}"


def not_surely_worse(spec: ModelSpec, rivals: tuple[Rival, ...]) -> tuple[bool | None, str]:
    """Whether no rival surely beats a model, and the numbers; None where that cannot be judged."""
    judged = [rival for rival in rivals if any(rival.differences[name].lower is not None for name in spec.margins)]
    losses = [rival for rival in judged if rival.surely_beats(spec)]
    told = "; ".join(rival.compared(spec) for rival in losses or rivals)
    return (not losses if judged else None), told or "no rival was fitted"
