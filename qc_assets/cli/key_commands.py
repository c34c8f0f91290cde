"""`qc keys`: who may use the API, and for what."""

from typing import Annotated

import typer
from rich.markup import escape

from qc_assets.cli import console
from qc_assets.serving import keys as key_ring
from qc_assets.serving.callers import RIGHTS
from qc_assets.settings import load_settings

keys = typer.Typer(no_args_is_help=True, help="Named keys of the API: make, list, revoke.")


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.add_typer(keys, name="keys")


@keys.command()
def make(
    name: Annotated[str, typer.Argument(help="Whose it is, or what it is for; what it does is written down under it.")],
    rights: Annotated[str, typer.Option(help=f"Comma-separated: {', '.join(RIGHTS)}.")] = "predict",
) -> None:
    """Make a key and show it once; a running server takes it at once."""
    chosen = [right.strip() for right in rights.split(",") if right.strip()]
    key = key_ring.make_key(key_ring.keys_file(load_settings().journal), name, chosen)
    console.emit({"name": name, "rights": chosen, "key": key}, escape(f"{key}\nKeep it: it is shown this once."))


@keys.command("list")
def list_keys() -> None:
    """The keys that were made, without what opens anything."""
    known_keys = key_ring.read_keys(key_ring.keys_file(load_settings().journal)).values()
    rows = [
        {"name": key.name, "rights": ", ".join(key.rights), "made_at": key.made_at, "revoked_at": key.revoked_at}
        for key in known_keys
    ]
    console.emit(rows, console.table("Keys of the API", rows, ["name", "rights", "made_at", "revoked_at"]))


@keys.command()
def revoke(name: Annotated[str, typer.Argument(help="As `qc keys list` shows it.")]) -> None:
    """Let a key open nothing any more; a running server refuses it at once. Its name is not used again."""
    key_ring.revoke_key(key_ring.keys_file(load_settings().journal), name)
    console.emit({"name": name}, escape(f"{name} opens nothing any more"))
