"""What Prometheus reads."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily

from qc_assets.clock import now_utc

if TYPE_CHECKING:
    from qc_assets.serving.service import Serving

# Around the promise of 25 ms.
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)


class Metrics:
    """Counters of one server, and gauges of what it holds.

    Args:
        serving: what the gauges are read from when somebody asks.
    """

    def __init__(self, serving: "Serving") -> None:
        self._registry = CollectorRegistry()
        self._serving = serving
        self.requests = Counter(
            "qc_requests", "Requests answered", ["method", "path", "status"], registry=self._registry
        )
        self.seconds = Histogram(
            "qc_request_seconds", "Time to answer", ["path"], buckets=_SECONDS, registry=self._registry
        )
        self.predictions = Counter(
            "qc_predictions", "Predictions by model and bucket or answer", ["model", "answer"], registry=self._registry
        )
        self._registry.register(self)

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Gauges, read now."""
        now = now_utc()
        age = GaugeMetricFamily("qc_model_age_seconds", "Since the champion was trained", labels=["model", "version"])
        for champion in self._serving.champions.all():
            age.add_metric([champion.model, str(champion.version)], (now - champion.registered_at).total_seconds())
        yield age
        troubles = GaugeMetricFamily("qc_model_troubles", "Newer champions that could not be loaded", labels=["model"])
        for model in self._serving.champions.troubles:
            troubles.add_metric([model], 1)
        yield troubles
        journal = self._serving.journal
        yield GaugeMetricFamily("qc_journal_waiting", "Entries that are not on the disk yet", value=journal.waiting)
        yield GaugeMetricFamily("qc_journal_lost", "Entries that the last crash lost", value=journal.lost)
        behind = journal.waiting + journal.count_after(self._serving.imported_up_to)
        yield GaugeMetricFamily("qc_journal_not_imported", "Entries that the warehouse lacks", value=behind)
        knowledge = self._serving.knowledge
        if knowledge is not None:
            seconds = (now - knowledge.as_of).total_seconds()
            yield GaugeMetricFamily("qc_history_age_seconds", "Since the end of what the warehouse has", value=seconds)
