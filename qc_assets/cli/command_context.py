"""The settings and the warehouse of a command; their libraries are imported when it runs, as `qc --help` needs none."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qc_assets.settings import Settings
    from qc_assets.store.warehouse import Warehouse


def command_settings(**overrides: object) -> "Settings":
    """As `qc_assets.settings.load_settings`."""
    from qc_assets.settings import load_settings

    return load_settings(**overrides)


def command_warehouse(settings: "Settings | None" = None) -> "Warehouse":
    """The warehouse of the settings; default: of those of this command."""
    from qc_assets.store.warehouse import Warehouse

    return Warehouse.from_settings(settings or command_settings())
