"""p0 on pull requests of listed repositories: nothing by default, one note each, shown by a thread that tries again."""

import logging
import threading
from dataclasses import replace
from datetime import timedelta

from filelock import FileLock, Timeout

from qc_assets.clock import now_utc
from qc_assets.errors import QcError, SourceError
from qc_assets.forges import forge_at, is_on_this_machine
from qc_assets.serving.feedback_links import FeedbackLinks
from qc_assets.serving.github_payloads import Event
from qc_assets.serving.note_text import note_of
from qc_assets.serving.outbox import Outbox, OutgoingNote, outbox_file
from qc_assets.serving.predictions import Predictions
from qc_assets.serving.service import Serving
from qc_assets.settings import Settings
from qc_assets.sources.github.posting import PostingError, PullRequestBoard

log = logging.getLogger(__name__)
_LOOK_S = 5.0
_STOP_S = 5.0
_LOCK_S = 60.0
_TOLD = timedelta(days=2)


class NotShownError(QcError):
    """Nothing is shown there: QC_CHECK_REPOS does not list it, or it is no pull request that p0 is about."""


class Notes:
    """Takes notes in and shows them.

    Args:
        settings: which repositories, by whom, as what.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.outbox = Outbox(outbox_file(settings.journal_file))
        self.links = FeedbackLinks.from_settings(settings)
        self._lock = FileLock(self.outbox.path.with_name("notes.lock"))
        self._wake, self._is_closed = threading.Event(), False
        self._board: PullRequestBoard | None = None
        self._thread: threading.Thread | None = None

    def listed(self, repo: str, forge: str | None = None) -> str:
        """The name of a repository as QC_CHECK_REPOS has it.

        Args:
            repo: ``owner/name``, or with ``HOST/`` before it.
            forge: its host, if that is known.

        Raises:
            NotShownError: if it is not listed, or another forge's.
        """
        own_forge = forge_at(self.settings.github_url)
        host, _, rest = repo.partition("/")
        name, host = (rest, host) if "/" in rest else (repo, forge or own_forge)
        listed = next((each for each in self.settings.check_repos if each.lower() == name.lower()), None)
        if listed is None or host.lower() != own_forge:
            raise NotShownError(
                f"nothing is shown on {repo}: QC_CHECK_REPOS lists {', '.join(self.settings.check_repos) or 'nothing'}"
                f" of {own_forge}"
            )
        return listed

    def written(self, serving: Serving, predictions: Predictions, repo: str, number: int, sha: str) -> OutgoingNote:
        """The note of one pull request, which is shown nowhere yet.

        Args:
            serving: who answered.
            predictions: what p0's champion says of it.
            repo, number: which, as it is listed.
            sha: its head commit.
        """
        task_id = f"{repo}#{number}"
        link = self.links.to(task_id, predictions.champion.version, float(predictions.table["prediction"][0]))
        note = note_of(serving, predictions, link)
        kind = self.settings.check_as
        sha = sha if kind == "check_run" else ""
        return OutgoingNote(repo, number, kind, sha, note.title, note.text, now_utc())

    def show(self, serving: Serving, predictions: Predictions, forge: str, event: Event, *, is_repeated: bool) -> None:
        """Have a delivery's pull request show what p0 says of it, soon; nothing where its repository is not listed.

        Args:
            serving, predictions: who answered, and what.
            forge: where the delivery comes from.
            event: the delivery.
            is_repeated: whether it came before; then what is shown already stays.
        """
        pull_request, repository = event.pull_request, event.repository
        assert pull_request is not None and repository is not None
        try:
            repo = self.listed(repository.full_name, forge)
            self.refuse_made_up(predictions)
        except NotShownError as error:
            log.debug("%s", error)
            return
        before = self.outbox.of(f"{repo}#{pull_request.number}")
        if is_repeated and before is not None and before.is_shown:
            return
        note = self.written(serving, predictions, repo, pull_request.number, pull_request.head.sha)
        self.want(note)

    def follow(self, forge: str, event: Event) -> None:
        """Have the check run of a pull request stand at its newest commit, too, with what was said of its opening."""
        pull_request, repository = event.pull_request, event.repository
        assert pull_request is not None and repository is not None
        try:
            repo = self.listed(repository.full_name, forge)
        except NotShownError:
            return  # most repositories are not
        note, sha = self.outbox.of(f"{repo}#{pull_request.number}"), pull_request.head.sha
        if note is not None and note.kind == self.settings.check_as == "check_run" and sha not in ("", note.sha):
            self.want(replace(note, sha=sha, shown=None, shown_at=None, wanted_at=now_utc()))

    def want(self, note: OutgoingNote) -> OutgoingNote:
        """Have a note shown soon; see `Outbox.want`."""
        outgoing = self.outbox.want(note)
        self._wake.set()
        return outgoing

    def refuse_made_up(self, predictions: Predictions) -> None:
        """Refuse to show real people what a model of made-up data says.

        Raises:
            NotShownError: unless GitHub is a fake one on this machine.
        """
        if predictions.champion.bundle.is_synthetic and not is_on_this_machine(forge_at(self.settings.github_url)):
            raise NotShownError("the champion learnt from made-up data: it is shown on a fake GitHub only")

    def board(self) -> PullRequestBoard:
        """Who shows it.

        Raises:
            SourceError: if there is no token.
        """
        if self._board is None:
            self._board = PullRequestBoard.from_settings(self.settings)
        return self._board

    def deliver(self, note: OutgoingNote) -> OutgoingNote:
        """Show a note now, by one process at a time.

        Returns:
            The note with what became of it: also a failure is written down.
        """
        now = now_utc()
        try:
            with self._lock.acquire(timeout=_LOCK_S):
                current = self.outbox.of(note.task) or note
                if current.due_at is None:  # somebody else has shown it, or given it up
                    return current
                shown = self._post(current)
                done = replace(current, due_at=None, trouble="", shown=shown, shown_at=now)
                self.outbox.save(done)
                return done
        except (PostingError, SourceError, Timeout) as error:
            is_final = isinstance(error, PostingError) and error.is_final
            why = "another process is showing notes" if isinstance(error, Timeout) else str(error)
            failed = note.failed(why, now, is_final=is_final)
            self.outbox.save(failed)
            log.warning("%s", why)
            return failed

    def _post(self, note: OutgoingNote) -> int:
        board = self.board()
        if note.kind == "check_run":
            return board.check_run(note.repo, note.number, note.sha, note.title, note.text).identity
        return board.comment(note.repo, note.number, note.text, note.shown).identity

    def start(self) -> None:
        """Show what is due from now on, in a thread; nothing is started where no repository is listed."""
        if self.settings.check_repos:
            self._thread = threading.Thread(target=self._work, name="notes", daemon=True)
            self._thread.start()

    def troubles(self) -> dict[str, str]:
        """Why notes of the last two days are not shown, for /health."""
        if not self.settings.check_repos:
            return {}
        stuck = self.outbox.in_trouble(now_utc() - _TOLD)
        if not stuck:
            return {}
        waiting = sum(note.due_at is not None for note in stuck)
        return {
            "notes": f"{len(stuck)} are not shown, {waiting} of them are tried again; the newest: {stuck[0].trouble}"
        }

    def close(self) -> None:
        """Stop; what is not shown yet is when the next server starts."""
        self._is_closed = True
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)
        if self._board is not None and (self._thread is None or not self._thread.is_alive()):
            self._board.close()

    def _work(self) -> None:
        while not self._is_closed:
            try:
                for note in self.outbox.due(now_utc()):
                    if self._is_closed:
                        return
                    self.deliver(note)
            except Exception:  # the thread must live: what is due is tried again
                log.exception("notes could not be shown")
            self._wake.wait(_LOOK_S)
            self._wake.clear()
