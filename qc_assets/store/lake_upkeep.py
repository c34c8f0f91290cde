"""What a lake needs now and then: few large files instead of many small ones, and no more history than is wanted."""

from contextlib import closing
from datetime import timedelta

from qc_assets.clock import now_utc
from qc_assets.errors import QcError
from qc_assets.store.lake import LakeEngine
from qc_assets.store.lake_folder import refuse_foreign, refuse_to_tidy
from qc_assets.store.warehouse import Warehouse

_REMOVAL = (
    "CALL ducklake_delete_orphaned_files('warehouse', older_than => TIMESTAMPTZ '{until}', dry_run => {only_told})"
)
# In this order: what is merged and rewritten is held by old snapshots, until they expire.
_STEPS = {
    "files merged": "CALL ducklake_merge_adjacent_files('warehouse')",
    "files rewritten without deleted rows": "CALL ducklake_rewrite_data_files('warehouse')",
    "snapshots expired": "CALL ducklake_expire_snapshots('warehouse', older_than => TIMESTAMPTZ '{until}')",
    "old files removed": "CALL ducklake_cleanup_old_files('warehouse', older_than => TIMESTAMPTZ '{until}')",
    "stray files removed": _REMOVAL,
}
# A reader has its snapshot for as long as a query takes, and a writer's files are strays until it commits.
_LEAST = timedelta(hours=1)


def tidy_lake(store: Warehouse, keep: timedelta) -> dict[str, int]:
    """Merge small files, expire snapshots that are older than `keep`, and remove files that nothing refers to.

    Writers wait meanwhile, readers do not. A step that is killed has changed all or nothing.

    Returns:
        How many of what each step dealt with.

    Raises:
        QcError: if it is no lake, `keep` is shorter than an hour, or its folder holds what is not its own.
    """
    engine = store.engine
    if not isinstance(engine, LakeEngine):
        raise QcError(f"{store.place} is a file, which needs no tidying: DuckDB uses its free room again")
    if keep < _LEAST:
        raise QcError("keep an hour at least: whoever reads has a snapshot for as long as the query takes")
    until = (now_utc() - keep).isoformat(sep=" ", timespec="seconds") + "+00"
    done = {}
    with engine.turn() as refuse_if_lost, engine.explained():
        with engine.reaching() as folder:
            refuse_to_tidy(folder, engine.place)
        for what, statement in _STEPS.items():
            with closing(engine.open(read_only=False)) as connection:
                if statement == _REMOVAL:
                    strays = connection.execute(_REMOVAL.format(until=until, only_told=True))
                    refuse_foreign(engine.place, [path for (path, *_) in strays.fetchall()])
                done[what] = len(connection.execute(statement.format(until=until, only_told=False)).fetchall())
            refuse_if_lost()
    return done
