"""Who is champion, by whose decision, and what people changed by hand in MLflow.

Every decision is a tag of the model's MLflow experiment: it outlives the version, and the registered model, that it is
about. A version is known by its run, as numbers start anew where a registered model was deleted.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

_TAG = "decision."
_LONGEST_REASON = 5_000


@dataclass(frozen=True)
class VersionReference:
    """A version by its number, and by the MLflow run that made it, which never comes again."""

    version: int
    run_id: str


@dataclass(frozen=True)
class RecordedDecision:
    """A decision about who is champion.

    Attributes:
        subject: the version that was judged, or made champion.
        decided_at: when (UTC).
        kind: training: judged after its training; rollback: `qc rollback`; manual: the alias was moved in MLflow.
        promoted: whether it became champion.
        before: the champion until then, or whom it was compared with; None if there was none.
        reason: in words.
        comparisons: the numbers behind it, as in ml.promotions.
    """

    subject: VersionReference
    decided_at: datetime
    kind: Literal["training", "rollback", "manual"]
    promoted: bool
    before: VersionReference | None
    reason: str
    comparisons: Sequence[dict[str, Any]] = field(default_factory=tuple)

    @property
    def tag(self) -> tuple[str, str]:
        """Name and value of the tag that keeps it."""
        content = asdict(self) | {"reason": self.reason[:_LONGEST_REASON]}
        del content["decided_at"]
        return f"{_TAG}{self.decided_at.isoformat()}", json.dumps(content, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def of_tag(cls, name: str, value: str) -> "RecordedDecision":
        """The decision that a tag keeps."""
        content = json.loads(value)
        before = content.pop("before")
        return cls(
            subject=VersionReference(**content.pop("subject")),
            before=VersionReference(**before) if before else None,
            decided_at=datetime.fromisoformat(name.removeprefix(_TAG)),
            **content,
        )


def decisions_of_tags(tags: Iterable[tuple[str, str]]) -> list[RecordedDecision]:
    """The decisions among the tags of an experiment, the oldest first."""
    decisions = [RecordedDecision.of_tag(name, value) for name, value in tags if name.startswith(_TAG)]
    return sorted(decisions, key=lambda decision: decision.decided_at)


@dataclass(frozen=True)
class Standing:
    """Where a model stands.

    Attributes:
        model: its name.
        champion: what has the alias `champion` in MLflow; None if nothing has.
        decisions: about the model, the oldest first.
        versions: runs of the registered versions, by number.
    """

    model: str
    champion: VersionReference | None
    decisions: Sequence[RecordedDecision]
    versions: dict[int, str]

    @property
    def decided(self) -> VersionReference | None:
        """Whom the last decision made champion; None if there never was a champion."""
        return next((decision.subject for decision in reversed(self.decisions) if decision.promoted), None)

    @property
    def removal(self) -> str | None:
        """What to say if the champion was removed by hand: that is not the same as never having had one."""
        if self.champion is not None or self.decided is None:
            return None
        removed = self.decided
        what = f"version {removed.version} of {self.model} (MLflow run {removed.run_id}) was champion"
        if self.versions.get(removed.version) == removed.run_id:
            lost, back = "lost the alias", f"`qc rollback {self.model} --to {removed.version}` brings it back"
        else:
            lost, back = "was deleted", f"`qc rollback {self.model} --to VERSION` makes another champion"
        return f"{what} and {lost} in MLflow: {back}, `qc train {self.model}` trains a new one"

    @property
    def taken_down(self) -> tuple[VersionReference, ...]:
        """Versions that a person put another in the place of, and that were not made champion again since."""
        down: dict[str, VersionReference] = {}
        for decision in self.decisions:
            if decision.promoted:
                down.pop(decision.subject.run_id, None)
                if decision.kind != "training" and decision.before is not None:
                    down[decision.before.run_id] = decision.before
        return tuple(down.values())

    @property
    def earlier_champions(self) -> tuple[VersionReference, ...]:
        """Everyone who was champion and is not now, the latest first, without those that people took down."""
        out = {reference.run_id for reference in self.taken_down}
        if self.champion is not None:
            out.add(self.champion.run_id)
        promoted = (decision.subject for decision in reversed(self.decisions) if decision.promoted)
        return tuple({subject.run_id: subject for subject in promoted if subject.run_id not in out}.values())

    @property
    def replaced(self) -> VersionReference | None:
        """Whom the champion replaced when it was last promoted."""
        for decision in reversed(self.decisions):
            if decision.promoted and decision.subject == self.champion and decision.before is not None:
                return decision.before
        return None

    def next_instant(self, now: datetime) -> datetime:
        """When a decision that is made now is noted (UTC): after all others, whatever the clock did."""
        return max([now, *(decision.decided_at + timedelta(microseconds=1) for decision in self.decisions[-1:])])
