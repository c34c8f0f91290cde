"""Which days need no fetching, by what `ops.ingest_log` says of them and by what lies there now."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from qc_assets.sources.source import Source, Stamped


def days_done(entries: Sequence[tuple[Any, ...]], source: Source, names: Mapping[str, str]) -> set[date]:
    """Days that need no fetching.

    A day that is whole is read again if a file of it has been replaced, or has come, or if a repository that it was
    read for by name alone is known by an id now. A day with gaps is read again unless its files are the same. But
    where a file that was read is gone, reading again would lose what it had.

    Args:
        entries: from `days_read` of ``warehouse/ops/ingest_log.sql``.
        source: says what lies there now.
        names: what is asked for, as the checkpoint has it, and as the source has it.
    """
    ids = source.ids_of([name for name in names.values() if name != "*"]) if isinstance(source, Stamped) else {}
    held: dict[date, set[str]] = {}
    for day, repo, is_for_all, status, inputs, repo_ids in entries:
        if not _is_current(source, day, status, inputs):
            continue
        if is_for_all or set(ids.get(names[repo], ())) <= set(repo_ids or ()):
            held.setdefault(day, set()).add(repo)
    return {day for day, repos in held.items() if len(repos) == len(names)}


def _is_current(source: Source, day: date, status: str, inputs: Sequence[str] | None) -> bool:
    there = source.inputs(day) if isinstance(source, Stamped) else None
    if there is None or inputs is None:
        return status == "done"
    was_read = {entry.partition(" ")[0] for entry in inputs}
    lies_there = {entry.partition(" ")[0] for entry in there}
    return there == set(inputs) or not was_read <= lies_there
