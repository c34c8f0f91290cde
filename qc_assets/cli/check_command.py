"""`qc check`: what p0 would show on a pull request, and with --post showing it."""

import tempfile
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from qc_assets.cli import console
from qc_assets.cli.command_context import command_settings
from qc_assets.errors import QcError


def check(
    pull_request: Annotated[str, typer.Argument(help="owner/name#number.")],
    post: Annotated[
        bool, typer.Option("--post", help="Show it there: its repository must be in QC_CHECK_REPOS.")
    ] = False,
) -> None:
    """Print what p0 would show on a pull request; with --post show it, as one comment or check run that is updated."""
    from qc_assets.serving.checking import Checker
    from qc_assets.serving.notes import Notes
    from qc_assets.serving.service import Serving
    from qc_assets.serving.webhook import Webhook

    settings = command_settings()
    notes = Notes(settings)
    if post:
        notes.listed(pull_request.partition("#")[0])  # before anything is loaded
    # A server may be running, whose journal only it may write.
    with tempfile.TemporaryDirectory() as scratch, closing(notes):
        serving = Serving(settings, journal=Path(scratch) / "journal.db")
        with closing(serving):
            serving.refresh_champions()
            serving.refresh_knowledge()
            with closing(Webhook(serving)) as webhook:
                checked = Checker(serving, webhook, notes).check(pull_request, is_posting=post)
        note, about = checked.note, "shown nowhere (a dry run; --post shows it)"
        if post:
            delivered = notes.deliver(notes.want(note))
            if not delivered.is_shown:
                raise QcError(delivered.trouble)
            about = f"shown on {note.repo}#{note.number} as {note.kind.replace('_', ' ')} {delivered.shown}"
    if not checked.is_known:
        about += "; the warehouse does not have it, so GitHub's present facts were taken for those of its opening"
    document = {
        **{"task_id": checked.document["task_id"], "p0": checked.document["prediction"]},
        **{"lower": checked.document["lower"], "upper": checked.document["upper"]},
        **{"title": note.title, "text": note.text, "as": note.kind, "is_known": checked.is_known},
        **{"shown": delivered.shown if post else None},
    }
    console.emit(document, note.text, "", about)
