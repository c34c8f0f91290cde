"""Reading again what may have changed without a trace: open pull requests weekly, closed ones for a while."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path

from qc_assets.progress import Reporter, unheard
from qc_assets.settings import Settings
from qc_assets.sources.github import raw_rows
from qc_assets.sources.github.access import GitHubAccess
from qc_assets.sources.github.client import odd_answers
from qc_assets.sources.github.complete import Item, complete
from qc_assets.sources.github.item_parts import is_sound
from qc_assets.sources.github.opened_branch import add_opened_branches
from qc_assets.sources.github.query import Part
from qc_assets.sources.github.reader import Reader
from qc_assets.store import dead_letters
from qc_assets.store.merge import Scope, merge, prepare_merging
from qc_assets.store.schema import RAW_TABLES
from qc_assets.store.warehouse import Warehouse

_CHUNK = 200  # items that are fetched and committed as one


def revisit(
    warehouse: Warehouse, source: GitHubAccess, settings: Settings, progress: Reporter = unheard
) -> dict[str, int]:
    """Read again the pull requests that are due, with all that hangs on them.

    Due are open ones last read over `revisit_open_days` ago, and ones closed within `revisit_closed_days` last read
    over a week ago. Comments that are gone are marked as vanished.

    Args:
        warehouse: holds the pull requests and says when they were read.
        source: who reads.
        settings: how often.
        progress: called after each commit.

    Returns:
        How many were due, read, and not shown any more.

    Raises:
        RequestError: if GitHub cannot be reached; what was committed stays.
    """
    now = source.clock.now()
    due = warehouse.sql_file(
        "sources/github",
        {
            "open_before": now - timedelta(days=settings.revisit_open_days),
            "closed_before": now - timedelta(days=7),
            "closed_after": now - timedelta(days=settings.revisit_closed_days),
            "repos": list(settings.repos),
            "forge": source.traits.forge,
        },
        section="due_for_revisit",
    )
    rows = due.select("name", "own_id", "number").rows()
    source.watch(progress)
    reader = Reader(source.client, source.state, source.clock, page=source.page)
    read = 0
    try:
        for start in range(0, len(rows), _CHUNK):
            with odd_answers("graphql numbered"):
                items = list(_read(reader, rows[start : start + _CHUNK]))
            _commit(warehouse, source, items)
            read += len(items)
            progress("read again", start + len(rows[start : start + _CHUNK]), len(rows))
    finally:
        source.client.close()
    return {"due": len(rows), "read": read, "gone": len(rows) - read}


def _read(reader: Reader, rows: Sequence[tuple[str, int, int]]) -> Iterator[Item]:
    parts, due = [], {(repo_id, number) for _, repo_id, number in rows}
    for name, _, number in rows:
        owner, _, rest = name.partition("/")
        parts.append(Part("numbered", {"owner": owner, "name": rest, "number": number}))
    shown = [item for _, item in reader.whole(parts) if is_sound(item)]
    # Another repository may have the name by now, and an item may have been transferred.
    items = [item for item in shown if item and (item["repository"]["databaseId"], item["number"]) in due]
    for finish in (complete, add_opened_branches):
        finish(reader.client, items, lambda changed: None)
    yield from items


def _commit(warehouse: Warehouse, source: GitHubAccess, items: Sequence[Item]) -> None:
    rows, letters = raw_rows.rows([(item, source.clock.now()) for item in items])
    source.is_made_up()  # nobody else waits for the warehouse while the server is asked
    with warehouse.staging() as folder:
        files: dict[str, Path] = raw_rows.write(rows, folder, "revisit")
        parents = [files[table] for table in ("pull_requests", "issues") if table in files]
        with warehouse.write() as connection:
            scope = Scope(source.name, (), adds=True, forge=source.forge_number(connection))
            dead_letters.insert(connection, source.name, letters)
            prepare_merging(connection, parents, scope.forge)
            for table in RAW_TABLES:
                merge(connection, table, [files[table]] if table in files else [], scope)
