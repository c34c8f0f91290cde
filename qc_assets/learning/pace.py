"""What a training tells while it is at work: which candidate, which trial, how good so far, how much longer."""

import time

from qc_assets.learning.task.terms import Metric
from qc_assets.learning.trained import FittedCandidate, Trial
from qc_assets.progress import Milestone, Reporter


class TrainingListener:
    """Is told of each candidate and each trial as it comes; by itself it does nothing with that."""

    def candidate_begins(self, kind: str) -> None:
        """A candidate is searched or scored from now on."""

    def trial_ended(self, kind: str, number: int, trial: Trial) -> None:
        """A search has tried parameters, the first of a candidate as number 0; quick trainings have no trials."""

    def candidate_fitted(self, candidate: FittedCandidate) -> None:
        """A candidate is calibrated and evaluated."""


class Pace:
    """How far the search of a training is, in sentences.

    Args:
        candidates: how many compete.
        trials: of each of them; 1 if nothing is searched.
        metric: what they are compared by.
        progress: where to.
    """

    def __init__(self, candidates: int, trials: int, metric: Metric, progress: Reporter) -> None:
        self.candidates, self.trials, self.metric, self.progress = candidates, trials, metric, progress
        self._number = 0
        self._kind = ""
        self._best: float | None = None
        self._started = self._began = time.monotonic()

    def begins(self, kind: str) -> None:
        """The next candidate is searched."""
        self._number += 1
        self._kind, self._began = kind, time.monotonic()
        self._tell(0)

    def tried(self, number: int, value: float | None) -> None:
        """A trial has ended, the first as number 0; None if it was given up before the last fold."""
        if value is not None:
            self._keep(value)
        self._tell(number + 1)

    def chosen(self, value: float) -> None:
        """The candidate's parameters are chosen, and this is what decides between candidates."""
        self._keep(value)
        label = self.metric.label
        self.progress(Milestone(f"{self._kind}: validation {label} {value:.3f}"), self._done(self.trials), self._total)

    @property
    def _total(self) -> int:
        return self.candidates * self.trials

    def _done(self, trials: int) -> int:
        return (self._number - 1) * self.trials + trials

    def _keep(self, value: float) -> None:
        if self._best is None or self.metric.sign * value > self.metric.sign * self._best:
            self._best = value

    def _tell(self, trials: int) -> None:
        parts = [f"candidate {self._number} of {self.candidates} ({self._kind})"]
        if self.trials > 1:
            parts.append(f"trial {min(trials + 1, self.trials)} of {self.trials}")
        if self._best is not None:
            parts.append(f"best {self.metric.label} {self._best:.3g}")
        if (left := self._seconds_left(trials)) is not None:
            parts.append(f"about {in_words(left)} left")
        self.progress(", ".join(parts), self._done(trials), self._total)

    def _seconds_left(self, trials: int) -> float | None:
        """Trials to come take as long as this candidate's; candidates to come as long as those so far, on average."""
        now, before = time.monotonic(), self._number - 1
        if not trials and not before:
            return None
        whole = (now - self._began) / trials * self.trials if trials else (self._began - self._started) / before
        average = (self._began - self._started + whole) / self._number
        return max(0.0, whole - (now - self._began)) + average * (self.candidates - self._number)


def in_words(seconds: float) -> str:
    """A duration as people say it, never shorter than it is."""
    minutes = int(-(-seconds // 60))
    if minutes <= 1:
        return "a minute"
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
