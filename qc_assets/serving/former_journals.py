"""The journals that a home had before: what was paid stays paid, wherever QC_JOURNAL points next.

Its own file is looked at as long as it is there. A database can be looked at only as long as somebody names it, so a
note beside the file says which one it was.
"""

import json
from pathlib import Path

from qc_assets.errors import QcError
from qc_assets.files import write_whole
from qc_assets.locks import holder_of, is_locked
from qc_assets.serving import journal_reader
from qc_assets.settings import Settings

COUNTERS = "accepted"
_SHARED = "a server with QC_JOURNAL"
_NOTE = "shared_journal.json"


def server_of(settings: Settings) -> str:
    """Who serves a home at this moment, whichever journal it writes; empty if nobody does."""
    file = settings.journal_file
    own = file.with_name(f"{file.name}.lock")
    if is_locked(own):
        return holder_of(own)
    is_shared = any(map(is_locked, file.with_name(COUNTERS).glob("*.lock")))
    return _SHARED if is_shared else ""


def refuse_second_journal(settings: Settings) -> None:
    """Refuse to serve while another server of this home writes its other journal: each would pay what the other paid.

    Raises:
        QcError: naming who must be stopped.
    """
    server, is_shared = server_of(settings), settings.shared is not None
    if server and is_shared != (server == _SHARED):
        ours = "is set" if is_shared else "is not set"
        raise QcError(f"{server} serves {settings.home}, and QC_JOURNAL {ours} here: stop it first, as each would pay")


def lost_sight_of(settings: Settings, *, identity: str | None = None) -> str:
    """Why payments of this home may be unknown to its journal; empty if it is the one that it had, or its first.

    Args:
        settings: of the home.
        identity: of the journal that it has; default: it is asked.

    Raises:
        SharedDatabaseError: if it cannot be asked.
    """
    note = _note(settings)
    if not note.exists():
        return ""
    try:
        before = json.loads(note.read_text(encoding="utf-8"))
        name, known = str(before["name"]), str(before["identity"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{note} cannot be read ({error}), so it is not known which journal this home paid by: see QC_JOURNAL"
    if settings.shared is not None and known == (identity or journal_reader.identity(settings.shared)):
        return ""
    now = f"is {settings.shared}, another journal" if settings.shared else "is not set"
    return (
        f"this home paid by the journal in {name}, and QC_JOURNAL {now}: what was paid there could be paid again. Set "
        "it back; or, if that journal is gone for good or is all imported, POST /payouts/resume (right settle)"
    )


def note_journal(settings: Settings, identity: str) -> None:
    """Write down which database this home pays by, unless another stands there."""
    if settings.shared is not None and not _note(settings).exists():
        write_whole(_note(settings), json.dumps({"name": str(settings.shared), "identity": identity}))


def take_journal(settings: Settings, identity: str) -> None:
    """Let a home pay by the journal that it has now, whichever it paid by before."""
    _note(settings).unlink(missing_ok=True)
    note_journal(settings, identity)


def _note(settings: Settings) -> Path:
    return settings.journal_file.with_name(_NOTE)
