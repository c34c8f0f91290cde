"""What all requests share: champions, what the warehouse knows, and the journal."""

import gc
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import polars as pl

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.features.contract import contract_of
from qc_assets.files import changed_when
from qc_assets.learning.metrics.category_metrics import UNCERTAIN
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task import task_of
from qc_assets.learning.text.embeddings import configure_embeddings
from qc_assets.registry.model_registry import Registry
from qc_assets.serving import rows
from qc_assets.serving.champions import SPECS, Champion, Champions
from qc_assets.serving.facts import CommentText, Facts
from qc_assets.serving.info import calibration, model_info
from qc_assets.serving.journal import Journal
from qc_assets.serving.knowledge import Knowledge
from qc_assets.serving.rows import Row
from qc_assets.serving.schemas import repository_and_number
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse

log = logging.getLogger(__name__)
_ITEMS = tuple(spec for spec in SPECS.values() if contract_of(spec.table.removeprefix("features.")).history)
_PATIENCE_S = 10.0
# What a probability above and below one half means, in words.
WORDS = {"p0": ("passed", "failed"), "close_in_7_days": ("closed", "open")}


class NotReadyError(QcError):
    """The warehouse could not be read yet."""


@dataclass(frozen=True)
class Said:
    """What a champion says of items.

    Attributes:
        champion: who says it.
        rows: of what.
        table: prediction, lower, upper and answer, a row an item; the answer of a probability is a word or UNCERTAIN.
    """

    champion: Champion
    rows: Sequence[Row]
    table: pl.DataFrame


class Serving:
    """See the module.

    Args:
        settings: where warehouse, registry and journal are.
        as_of: instant whose history is looked up; default: the end of what has been observed.
    """

    def __init__(self, settings: Settings, as_of: datetime | None = None) -> None:
        self.settings = settings
        self.as_of = as_of
        self.store = Warehouse.from_settings(settings)
        # A server must be able to stop meanwhile; it tries again soon.
        self.store.lock_timeout_s = min(self.store.lock_timeout_s, _PATIENCE_S)
        configure_embeddings(settings.encoder, settings.embeddings_cache)
        self.champions = Champions(Registry(settings.tracking_uri, settings.artifact_root))
        self.knowledge: Knowledge | None = None
        self.why_no_knowledge = "it is being read"
        self.info: Mapping[str, Any] = {}
        self.calibration: str | None = None
        self.imported_up_to = 0
        self._seen: tuple[int, ...] = ()
        self._with_texts = False
        self._refreshing, self._encoding = threading.Lock(), threading.Lock()
        self.journal = Journal(settings.journal)
        if self.journal.lost:
            log.warning("%d predictions were lost when the last server was killed", self.journal.lost)

    def close(self) -> None:
        """Write what waits."""
        self.journal.close()

    def refresh_champions(self) -> list[str]:
        """Load champions that are new; returns their names."""
        changed = self.champions.refresh()
        if changed:
            self._refresh_info()
        if self._reads_texts() and not self._with_texts:
            self._seen = ()
            self.refresh_knowledge()
        return changed

    def _reads_texts(self) -> bool:
        return any(one.bundle.texts is not None for one in self.champions.all())

    def refresh_knowledge(self) -> bool:
        """Read the warehouse anew if its file has changed; what cannot be read leaves what there was."""
        with self._refreshing:
            try:
                seen = changed_when([self.store.path])
                if seen and seen == self._seen:
                    self.why_no_knowledge = ""
                    return False
                with_texts = self._reads_texts()
                self.knowledge = Knowledge.read(self.store, self.settings, _ITEMS, self.as_of, with_texts=with_texts)
                self._with_texts = with_texts
                self.imported_up_to = self._imported()
                self._seen, self.why_no_knowledge = seen, ""
            except Exception as error:  # noqa: BLE001  # what was known goes on serving; /health says so
                self.why_no_knowledge = self._why(error)
                log.warning("the warehouse cannot be read: %s", self.why_no_knowledge)
                return False
        self._refresh_info()
        # What is known are millions of objects that stay: the garbage collector would look at them again and again.
        gc.freeze()
        return True

    def _why(self, error: Exception) -> str:
        if isinstance(error, duckdb.CatalogException):
            return f"{self.store.path} has no features yet: run `qc train`"
        return str(error)

    def _imported(self) -> int:
        found = self.store.query(
            "SELECT max(up_to) AS up_to FROM ops.journal_imports WHERE journal = ?", [self.journal.identity]
        )
        return found["up_to"][0] or 0

    def _refresh_info(self) -> None:
        # What a version was trained on and how it did never changes; the warehouse may learn of it a little later.
        known = {(model, one["version"]) for model, one in self.info.items() if one["window"] is not None}
        new = [one for one in self.champions.all() if (one.model, str(one.version)) not in known]
        self.info = {**self.info, **model_info(new, self.store)}
        for champion in new:
            if champion.model == "p0":
                self.calibration = calibration(champion, self.store)

    def ready(self) -> Knowledge:
        """What the warehouse knows.

        Raises:
            NotReadyError: if it could not be read yet.
        """
        if self.knowledge is None:
            raise NotReadyError(f"the warehouse could not be read yet: {self.why_no_knowledge}")
        return self.knowledge

    def predict(self, model: str, facts: Sequence[Facts]) -> tuple[Said, list[dict[str, Any]]]:
        """Answer requests to a model and journal the answers.

        Returns:
            The answers, and their journal entries, see `entries`.

        Raises:
            NoChampionError, NotReadyError: if nobody can answer.
            JournalFullError: if the journal takes no more.
        """
        started = time.perf_counter()
        self.champions.of(model)  # that there is none says more than that the warehouse cannot be read
        said = self.ask(model, rows.rows(facts, self.ready()))
        return said, self.record(said, [one.model_dump(mode="json") for one in facts], started)

    def ask(self, model: str, found: Sequence[Row]) -> Said:
        """What a champion says of rows.

        Raises:
            NoChampionError: if there is none.
        """
        champion = self.champions.of(model)
        spec = SPECS[model]
        return Said(champion, found, answer_table(spec, champion, rows.frame(found, spec)))

    def record(self, said: Said, requests: Sequence[Mapping[str, Any]], started: float) -> list[dict[str, Any]]:
        """Journal predictions.

        Args:
            said: the predictions.
            requests: what was asked, as JSON, in their order.
            started: when the request came, from `time.perf_counter`.

        Returns:
            The entries, see `entries`.
        """
        documents = entries(said, requests)
        elapsed = round((time.perf_counter() - started) * 1000, 3)
        for document in documents:
            document["latency_ms"] = elapsed
        self.journal.record("prediction", documents, written_at=instant())
        return documents

    def classify(self, comment: CommentText) -> tuple[int, dict[str, Any], dict[str, float]]:
        """What kind of feedback a comment is: version, journal entry, and probabilities by category.

        Raises:
            NoChampionError: if there is no champion.
        """
        started = time.perf_counter()
        champion = self.champions.of("comment_category")
        request = comment.model_dump(mode="json")
        repo, number = repository_and_number(comment.task_id or "")
        place = self.knowledge.place(repo, number) if self.knowledge else (0, 0)
        row = Row({"body": comment.body, "path": comment.path}, *place, None, None)
        with self._encoding:  # one text after the other: the encoder uses all cores
            answers = champion.bundle.predict(rows.frame([row], SPECS["comment_category"]))
        table = task_of(SPECS["comment_category"]).table(champion.bundle.classes, answers)
        (document,) = self.record(Said(champion, [row], table), [request], started)
        return champion.version, document, dict(zip(champion.bundle.classes, answers[0].tolist(), strict=True))

    def out_of_date(self, champion: Champion) -> list[str]:
        """Why a champion, or what is known of authors, is too old to pay by; empty if it is not."""
        limit = timedelta(days=self.settings.model_max_age_days)
        now = now_utc()
        found = []
        if now - champion.registered_at > limit:
            found.append(
                f"{champion.model} version {champion.version} was trained on {champion.registered_at:%Y-%m-%d}"
            )
        # The demo's time stands still: its data would be out of date on the day they are made.
        if not champion.bundle.is_synthetic and now - self.ready().as_of > limit:
            found.append(f"the warehouse ends on {self.ready().as_of:%Y-%m-%d}")
        return found


def answer_table(spec: ModelSpec, champion: Champion, frame: pl.DataFrame) -> pl.DataFrame:
    """Answers as `Said.table` has them."""
    task = task_of(spec)
    table = task.table(champion.bundle.classes, champion.bundle.predict(frame))
    if spec.task != "probability":
        return table
    p = table["prediction"].to_numpy()
    yes, no = WORDS[spec.name]
    sure = np.maximum(p, 1 - p) >= task.min_confidence
    return table.with_columns(answer=pl.Series(np.where(sure, np.where(p >= 0.5, yes, no), UNCERTAIN).tolist()))


def entries(said: Said, requests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Journal entries of predictions: what was asked, what the model was given, what it said."""
    features = said.champion.bundle.features
    return [
        {
            "model": said.champion.model,
            "version": said.champion.version,
            "task_id": request.get("task_id"),
            "worker_id": request.get("worker_id"),
            "repo_id": row.repo_id,
            "number": row.number,
            "comment_id": request.get("comment_id", 0),
            "opened_at": row.opened_at and row.opened_at.isoformat(),
            "as_of": row.as_of and row.as_of.isoformat(),
            "prediction": prediction,
            "lower": lower,
            "upper": upper,
            "answer": answer,
            "request": request,
            "features": {name: row.features.get(name) for name in features},
        }
        for row, request, (prediction, lower, upper, answer) in zip(
            said.rows, requests, said.table.iter_rows(), strict=True
        )
    ]


def instant() -> str:
    """Now (UTC), as the journal writes it."""
    return now_utc().isoformat()
