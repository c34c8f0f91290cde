"""What all requests share: champions, what the warehouse knows, and the journal."""

import gc
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb

from qc_assets.clock import now_utc
from qc_assets.features.contract import contract_of
from qc_assets.learning.text.embeddings import configure_embeddings
from qc_assets.registry.model_registry import Registry
from qc_assets.serving import journal_reader
from qc_assets.serving.champions import SPECS, Champion, Champions
from qc_assets.serving.deliveries import DeliveredItems
from qc_assets.serving.facts import Facts, TextFacts
from qc_assets.serving.former_journals import COUNTERS, refuse_second_journal
from qc_assets.serving.info import calibration, model_info
from qc_assets.serving.journal import Journal
from qc_assets.serving.journal_reader import Place
from qc_assets.serving.kept_knowledge import keep_reading, kept_reading, key_of_knowledge
from qc_assets.serving.knowledge import Knowledge, NotReadyError, Reading
from qc_assets.serving.last_payment import PaymentWatch
from qc_assets.serving.predictions import Predictions, ask_champion, instant, journal_documents
from qc_assets.serving.rows import Row, item_row, text_row
from qc_assets.settings import Settings
from qc_assets.shared_database import SharedDatabase
from qc_assets.store.warehouse import Warehouse

log = logging.getLogger(__name__)
_ITEMS = tuple(spec for spec in SPECS.values() if contract_of(spec.table.removeprefix("features.")).history)
_PATIENCE_S = 10.0
_TAKEOVER_S = 5.0
_MOST_AT_ONCE = 5_000


class Serving:
    """See the module.

    Args:
        settings: where warehouse, registry and journal are.
        journal: where to write down; default: the settings' journal, which one process may have.
    """

    def __init__(self, settings: Settings, journal: Path | None = None) -> None:
        self.settings = settings
        # A server must be able to stop meanwhile; it tries again soon.
        patience_s = min(settings.lock_timeout_s, _PATIENCE_S)
        self.store = Warehouse.from_settings(settings, lock_timeout_s=patience_s)
        configure_embeddings(settings.encoder, settings.embeddings_cache)
        self.champions = Champions(Registry.from_settings(settings))
        self.knowledge: Knowledge | None = None
        self.delivered = DeliveredItems()
        self.delivered_up_to = 0
        self.why_no_knowledge = "it is being read"
        self.is_starting = False
        self.info: Mapping[str, Any] = {}
        self.calibration: str | None = None
        self.imported_up_to = 0
        self._seen: tuple[int, ...] = ()
        self._needs: Mapping[str, frozenset[str]] = {}
        self._refreshing, self._encoding = threading.Lock(), threading.Lock()
        # A server that is being replaced may still be answering what it was asked.
        writer = f"qc serve on port {settings.api_port}"
        if journal is None:
            refuse_second_journal(settings)
        self.journal = Journal(
            journal or settings.journal_place,
            counters=settings.journal_file.with_name(COUNTERS),
            note=None if journal else settings.payment_note,
            writer=writer,
            lock_timeout_s=_TAKEOVER_S,
        )
        self.journals: tuple[Place, ...] = (journal,) if journal else settings.journals
        self.payments: PaymentWatch | None = None
        if not journal:
            about = {"identity": self.journal.identity, "doubt": self.journal.doubt}
            self.payments = PaymentWatch(settings, self.journals, self.store, **about)
        if self.journal.lost:
            log.warning("%d predictions were lost when the last server was killed", self.journal.lost)

    def close(self) -> None:
        """Write what waits."""
        self.journal.close()

    @property
    def reads_made_up(self) -> bool:
        """Whether what the settings read is made up: their source says so, or the forge did when it was loaded."""
        return self.settings.is_synthetic or (self.knowledge is not None and self.knowledge.is_synthetic)

    def refresh_champions(self) -> list[str]:
        """Load champions that are new; returns their names."""
        changed = self.champions.refresh()
        if changed:
            self._refresh_info()
        if self.knowledge is not None and self._wanted() != self._needs:
            self._seen = ()
            self.refresh_knowledge()
        if self.payments:
            self.payments.look()
        if isinstance(self.journal.place, SharedDatabase):
            self._hear_of_deliveries(self.journal.place)
        return changed

    def _hear_of_deliveries(self, journal: SharedDatabase) -> None:
        """Take note of what GitHub told the other servers."""
        while entries := journal_reader.entries_after(journal, self.delivered_up_to, ["delivery"], _MOST_AT_ONCE):
            self.delivered.remember(entry["document"] for entry in entries)
            self.delivered_up_to = entries[-1]["number"]

    def _wanted(self) -> dict[str, frozenset[str]]:
        """Columns of the feature tables that the champions ask for, by table."""
        needs: dict[str, frozenset[str]] = {}
        for spec in _ITEMS:
            for champion in self.champions.all():
                if champion.model == spec.name:
                    table, bundle = spec.table.removeprefix("features."), champion.bundle
                    needs[table] = needs.get(table, frozenset()) | {*bundle.features, *bundle.text_columns}
        return needs

    def troubles(self) -> dict[str, str]:
        """What is wrong, by what is concerned: a model, the warehouse, a table of it, the journal, or the server."""
        if self.is_starting:
            return {"server": "it is starting: champions and histories are being read"}
        troubles = dict(self.champions.troubles)
        serving = {champion.model for champion in self.champions.all()}
        troubles |= {m: f"no champion: run `qc train {m}`" for m in SPECS if m not in serving and m not in troubles}
        if self.why_no_knowledge:
            troubles["warehouse"] = self.why_no_knowledge
        if self.knowledge is not None:
            troubles |= {f"features.{table}": trouble for table, trouble in self.knowledge.troubles.items()}
            for table, names in self.knowledge.unknown.items():
                if names:
                    troubles[f"features.{table}"] = (
                        f"the warehouse does not have {', '.join(sorted(names))}, which a champion wants and takes as "
                        "unknown: run `qc train`"
                    )
        in_doubt = self.payments.trouble if self.payments else ""
        if trouble := self.journal.trouble or in_doubt or self.journal.doubt:
            troubles["journal"] = trouble
        return troubles

    def refresh_knowledge(self) -> bool:
        """Read the warehouse anew if its file has changed; what cannot be read leaves what there was."""
        with self._refreshing:
            try:
                stamp = self.store.engine.stamp()
                if stamp and stamp == self._seen:
                    self.why_no_knowledge = ""
                    return False
                needs = self._wanted()
                knowledge, imported_up_to = self._known(needs, stamp), self._imported()
                self.knowledge, self._needs, self.imported_up_to = knowledge, needs, imported_up_to
                self._seen, self.why_no_knowledge = stamp, ""
                if self.payments:
                    self.payments.compare(imported_up_to)
            except Exception as error:  # noqa: BLE001  # what was known goes on serving; /health says so
                self.why_no_knowledge = self._why(error)
                log.warning("the warehouse cannot be read: %s", self.why_no_knowledge)
                return False
        self._refresh_info()
        # What is known are millions of objects that stay: the garbage collector would look at them again and again.
        gc.freeze()
        return True

    def _known(self, needs: Mapping[str, frozenset[str]], stamp: tuple[int, ...]) -> Knowledge:
        """What was kept of this very warehouse, or else what it says; that is kept."""
        folder = self.settings.journal_file.with_name("knowledge")
        key = key_of_knowledge(self.settings, _ITEMS, needs, stamp)
        if (kept := kept_reading(folder, key)) is not None:
            return Knowledge.of(kept)
        reading = Reading.of(self.store, self.settings, _ITEMS, needs=needs)
        # What was read while somebody wrote belongs to no state of the file, and a table may be readable soon.
        if stamp and stamp == self.store.engine.stamp() and not reading.about["troubles"]:
            keep_reading(folder, key, reading)
        return Knowledge.of(reading)

    def _why(self, error: Exception) -> str:
        if isinstance(error, duckdb.CatalogException) and not self.store.pending_changes():
            return f"{self.store.place} has no features yet: run `qc train`"
        if isinstance(error, duckdb.CatalogException | duckdb.BinderException):
            log.warning("%s", error)
            return f"{self.store.place} does not fit this version of qc-assets: run `qc migrate`, then `qc train`"
        return str(error)

    @contextmanager
    def reading(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """The warehouse as it is now.

        Raises:
            WarehouseBusyError: if a writer keeps it.
            NotReadyError: if it does not fit this version of the program.
        """
        try:
            with self.store.read() as connection:
                yield connection
        except (duckdb.CatalogException, duckdb.BinderException) as error:
            raise NotReadyError(self._why(error)) from error

    def _imported(self) -> int:
        imports = self.store.query(
            "SELECT max(up_to) AS up_to FROM ops.journal_imports WHERE journal = ?", [self.journal.identity]
        )
        return imports["up_to"][0] or 0

    def _refresh_info(self) -> None:
        # What a version was trained on and how it did never changes; the warehouse may learn of it a little later.
        known = {(model, info["version"]) for model, info in self.info.items() if info["window"] is not None}
        new = [champion for champion in self.champions.all() if (champion.model, str(champion.version)) not in known]
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

    def payer(self) -> Knowledge:
        """What the warehouse knows, for whoever pays.

        Raises:
            NotReadyError: if it could not be read yet, or payments of before cannot be looked up.
        """
        if self.payments and (doubt := self.payments.look()):
            raise NotReadyError(doubt)
        return self.ready()

    def predict(
        self, model: str, requests: Sequence[Facts | TextFacts], *, paid_by: Row | None = None
    ) -> tuple[Predictions, list[dict[str, Any]]]:
        """Answer requests to a model and journal the answers.

        Args:
            model: name of the model.
            requests: what is asked about.
            paid_by: what is known of the only item, for a payout; else what the requests say is asked about.

        Returns:
            The answers, and their journal entries, see `journal_documents`.

        Raises:
            NoChampionError, NotReadyError: if nobody can answer.
            JournalFullError: if the journal takes no more.
        """
        started = time.perf_counter()
        self.champions.of(model)  # that there is none says more than that the warehouse cannot be read
        now = now_utc()
        rows = [paid_by] if paid_by is not None else [self._row(request, now) for request in requests]
        purpose = {} if paid_by is None else {"purpose": "payout"}
        requests_as_sent = [request.model_dump(mode="json") | purpose for request in requests]
        # One text after the other: the encoder uses all cores.
        with self._encoding if any(isinstance(request, TextFacts) for request in requests) else nullcontext():
            return self.answer(model, rows, requests_as_sent, since=started)

    def answer(
        self, model: str, rows: Sequence[Row], as_sent: Sequence[Mapping[str, Any]], *, since: float | None = None
    ) -> tuple[Predictions, list[dict[str, Any]]]:
        """Answer about rows, and journal that, as `predict` does.

        Args:
            model: name of the model.
            rows: what is asked about.
            as_sent: the request about each.
            since: when the work began, by `time.perf_counter`; default: now.
        """
        started = time.perf_counter() if since is None else since
        champion = self.champions.of(model)
        predictions = ask_champion(champion, rows, self.champions.bounding(champion))
        documents = journal_documents(predictions, as_sent)
        elapsed = round((time.perf_counter() - started) * 1000, 3)
        for document in documents:
            document["latency_ms"] = elapsed
        self.journal.record("prediction", documents, written_at=instant())
        return predictions, documents

    def _row(self, request: Facts | TextFacts, now: datetime) -> Row:
        if isinstance(request, TextFacts):
            return text_row(request, self.knowledge)
        return item_row(request, self.ready(), now, self.delivered)

    def out_of_date(self, champion: Champion) -> list[str]:
        """Why a champion, or what is known of authors, is too old to pay by; empty if it is not."""
        limit = timedelta(days=self.settings.model_max_age_days)
        now = now_utc()
        reasons = []
        if now - champion.registered_at > limit:
            reasons.append(
                f"{champion.model} version {champion.version} was trained on {champion.registered_at:%Y-%m-%d}"
            )
        # The demo's time stands still: its data would be out of date on the day they are made.
        if not champion.bundle.is_synthetic and now - self.ready().as_of > limit:
            reasons.append(f"the warehouse ends on {self.ready().as_of:%Y-%m-%d}")
        return reasons
