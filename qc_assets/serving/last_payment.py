"""The last payment, noted apart from the journals: what lacks it is older than what was paid, or another journal.

Nobody is paid then until a person with the right says that it may go on: whoever was paid meanwhile would be again.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from qc_assets.errors import QcError
from qc_assets.files import write_whole
from qc_assets.serving import chain, journal_reader
from qc_assets.serving.former_journals import lost_sight_of, note_journal, take_journal
from qc_assets.serving.journal_reader import Place
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse

_GO_ON = "compare payments by hand, correct or make up for what is wrong, then POST /payouts/resume (right settle)"
_PUT_BACK = "the warehouse has entry {up_to} of the journal, which has it no longer: an older copy was put back"


def note_payment(note: Path, journal: str, number: int) -> None:
    """Note the entry of a journal that is the last about payments; 0 if it has none."""
    write_whole(note, json.dumps({"journal": journal, "number": number}), is_private=True)


def note_payment_doubt(note: Path, doubt: str) -> None:
    """Note why it is not known what was paid; it stays until somebody settles it."""
    write_whole(note, json.dumps({"doubt": doubt}), is_private=True)


def lost_payments(note: Path, journals: Sequence[Place], store: Warehouse) -> str:
    """Why payments may be in neither journals nor warehouse, in words; empty if the last is in one of them.

    Args:
        note: the settings' `payment_note`; as long as there is none, nothing is doubted.
        journals: of the home.
        store: the warehouse.
    """
    if not note.exists():
        return ""
    try:
        noted = json.loads(note.read_text(encoding="utf-8"))
        if "doubt" in noted:
            return f"{noted['doubt']}; {_GO_ON}"
        journal, number = str(noted["journal"]), int(noted["number"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{note} cannot be read ({error}), so it is not known which payment was the last; {_GO_ON}"
    if not number:
        return ""
    places = [place for place in journals if journal_reader.exists(place)]
    ours = [place for place in places if journal_reader.identity(place) == journal]
    if any(journal_reader.has_entry(place, number) for place in ours):
        return ""
    entry, elsewhere = f"{journal}:{number}", ""
    try:
        known = "SELECT entry FROM ml.payouts WHERE entry = $1 UNION ALL SELECT entry FROM ml.appeals WHERE entry = $1"
        if len(store.query(known, [entry])):
            return ""
    except QcError as error:
        elsewhere = f" (which cannot be read: {error})"
    what = "an older copy of the journal was put back, or its end cut off" if ours else "the journal is another one"
    return (
        f"{what}: entry {number} of journal {journal} was about payments, and is in neither journal nor "
        f"warehouse{elsewhere}, so whoever was paid lately could be paid again; {_GO_ON}"
    )


class PaymentWatch:
    """Sees to it that what a server pays by has the last payment.

    Args:
        settings: of the home.
        journals: of the home; the first is written.
        store: the warehouse.
        identity: of the journal that is written.
        doubt: what that says against itself; where no payment was noted yet, it counts against payments.

    Attributes:
        trouble: what the last look said.
    """

    def __init__(
        self, settings: Settings, journals: Sequence[Place], store: Warehouse, *, identity: str, doubt: str
    ) -> None:
        self._settings, self._journals, self._store, self._identity = settings, journals, store, identity
        self._other_journal = lost_sight_of(settings, identity=identity)
        self.trouble = self._other_journal
        if not self._other_journal:
            note_journal(settings, identity)
            if not settings.payment_note.exists():
                if doubt:
                    note_payment_doubt(settings.payment_note, doubt)
                else:
                    self._note_newest()

    def look(self) -> str:
        """Why payments of before may be in neither journals nor warehouse; empty if they are not."""
        note = self._settings.payment_note
        self.trouble = self._other_journal or lost_payments(note, self._journals, self._store)
        return self.trouble

    def resume(self) -> None:
        """Take the journal that is written for whole, as a person has decided who may."""
        take_journal(self._settings, self._identity)
        self._note_newest()
        self.trouble = self._other_journal = ""

    def compare(self, imported_up_to: int) -> None:
        """Doubt payments if the warehouse knows a later entry than a journal that was put back with the whole home.

        Args:
            imported_up_to: the last entry of the journal that is written which the warehouse has; 0 if it has none.
        """
        note, journal = self._settings.payment_note, self._journals[0]
        if not imported_up_to or self.look() or journal_reader.has_entry(journal, imported_up_to):
            return
        noted = json.loads(note.read_text(encoding="utf-8"))
        if noted["journal"] == self._identity and noted["number"] < imported_up_to:
            note_payment_doubt(note, _PUT_BACK.format(up_to=imported_up_to))
            self.look()

    def _note_newest(self) -> None:
        newest = journal_reader.latest(self._journals[0], chain.KINDS, 1)
        note_payment(self._settings.payment_note, self._identity, newest[0]["number"] if newest else 0)
