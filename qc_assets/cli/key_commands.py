"""`qc keys`: who may use the API, and for what."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated

import typer
from rich.markup import escape

from qc_assets.cli import console
from qc_assets.cli.command_context import command_settings
from qc_assets.errors import QcError
from qc_assets.serving.callers import RIGHTS

keys = typer.Typer(no_args_is_help=True, help="Named keys of the API: make, list, revoke, distrust, trust.")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(keys, name="keys")


@keys.command()
def make(
    name: Annotated[str, typer.Argument(help="Whose it is, or what it is for; what it does is written down under it.")],
    rights: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(RIGHTS)}.")] = "predict",
) -> None:
    """Make a key and show it once; a running server takes it at once."""
    from qc_assets.serving import keys as key_ring

    chosen = [right.strip() for right in rights.split(",") if right.strip()]
    key = key_ring.make_key(key_ring.keys_file(command_settings().journal_file), name, chosen)
    console.emit({"name": name, "rights": chosen, "key": key}, escape(f"{key}\nKeep it: it is shown this once."))


@keys.command("list")
def list_keys() -> None:
    """The keys that were made, without what opens anything."""
    from qc_assets.serving import keys as key_ring

    known_keys = key_ring.read_keys(key_ring.keys_file(command_settings().journal_file)).values()
    rows = [
        {name: value for name, value in asdict(key).items() if name != "digest"} | {"rights": ", ".join(key.rights)}
        for key in known_keys
    ]
    columns = ["name", "rights", "made_at", "revoked_at", "distrusted_from", "distrusted_until"]
    console.emit(rows, console.table("Keys of the API", rows, columns))


_Name = Annotated[str, typer.Argument(help="As `qc keys list` shows it.")]
_Since = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="Only feedback that came from then on (UTC); default: all."
    ),
]


@keys.command()
def revoke(
    name: _Name,
    distrust: Annotated[bool, typer.Option("--distrust", help="Its feedback counts for no label any more.")] = False,
    since: _Since = None,
) -> None:
    """Let a key open nothing any more; a running server refuses it at once. Its name is not used again."""
    from qc_assets.serving import keys as key_ring

    if since is not None and not distrust:
        raise QcError("--since says from when on its feedback is distrusted: add --distrust")
    key_ring.revoke_key(key_ring.keys_file(command_settings().journal_file), name)
    if distrust:
        _distrust(name, since)
    console.emit({"name": name, "distrusted": distrust}, escape(f"{name} opens nothing any more"))


@keys.command()
def distrust(name: _Name, since: _Since = None) -> None:
    """Let the feedback that a key has sent so far count for no label; it is kept. QC_API_KEY is a name, too."""
    _distrust(name, since)
    console.emit({"name": name, "distrusted": True}, escape(f"{name} is trusted no more"))


@keys.command()
def trust(name: _Name) -> None:
    """Let all feedback of a key count again; what is revoked stays revoked."""
    from qc_assets.serving import keys as key_ring

    key_ring.trust_key(key_ring.keys_file(command_settings().journal_file), name)
    console.emit({"name": name, "distrusted": False}, escape(f"{name} is trusted again, from {_NEXT_RUN} on"))


_NEXT_RUN = "the next run of `features`, `training` or `main`"


def _distrust(name: str, since: datetime | None) -> None:
    from qc_assets.serving import keys as key_ring

    key_ring.distrust_key(key_ring.keys_file(command_settings().journal_file), name, since)
    console.err.print(
        escape(f"its feedback counts no more from {_NEXT_RUN} on; what was trained before stays as it is")
    )
