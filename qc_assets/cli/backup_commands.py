"""The commands of `qc` that copy a home and bring it back."""

from pathlib import Path
from typing import Annotated

import typer

from qc_assets.cli import console
from qc_assets.cli.command_context import command_settings


def register(app: typer.Typer) -> None:
    """Add the commands to `app`."""
    app.command()(backup)
    app.command()(restore)


def backup(folder: Annotated[Path, typer.Argument(help="New folder to write.")]) -> None:
    """Copy warehouse, models and the API's journal into a folder, and check the copy; all may run meanwhile."""
    from qc_assets.cli.backup import make_backup

    settings = command_settings()
    manifest = make_backup(settings, folder)
    rows = [{"table": name, "rows": count} for name, count in manifest["rows"].items() if count]
    champions = ", ".join(f"{model} version {version}" for model, version in manifest["champions"].items()) or "none"
    broken = [
        f"the champion of {model} is broken, and copied as it is: {why}; `qc rollback {model}` or a training mends it"
        for model, why in manifest.get("broken_champions", {}).items()
    ]
    console.emit(
        manifest | {"folder": str(folder)},
        console.table("In the copy", rows),
        f"{', '.join(manifest['parts'])} copied to {folder} and checked; champions: {champions}",
        *broken,
        *(f"not in it: {what}" for what in manifest["left_out"]),
    )


def restore(
    folder: Annotated[Path, typer.Argument(help="Folder that `qc backup` wrote.")],
    replace: Annotated[bool, typer.Option("--replace", help="Move what is there aside first.")] = False,
) -> None:
    """Put a backup into QC_HOME, after every file of it was checked."""
    from qc_assets.cli.backup import restore_backup

    settings = command_settings()
    document = restore_backup(settings, folder, replace=replace)
    aside = [f"what was there is now {path}" for path in document["moved_aside"]]
    console.emit(
        document,
        f"{', '.join(document['parts']) or 'nothing'} of {document['made_at']} restored to {settings.home}",
        *(f"not restored: {name} – {why}" for name, why in document["not_restored"].items()),
        *(f"not in this backup: {what}" for what in document.get("left_out", [])),
        *aside,
        *([f"{document['payments']}: see POST /payouts/resume, nobody is paid before"] if document["payments"] else []),
        "`qc status` shows what is there; `qc migrate` if the backup is of an older version",
    )
