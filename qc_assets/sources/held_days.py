"""What the checkpoint has of the repositories of a source of states: by name, and by id, which decides."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from typing import Any


class HeldDays(dict[str, frozenset[date]]):
    """Days that the checkpoint has, by the name that is asked for: names are for people, and change.

    Args:
        days: by name.
        ids: the forge's own ids that they were read of, by name, as far as they are known.
        of_ids: gives the days by id, whatever the repositories were called.
    """

    def __init__(
        self,
        days: Mapping[str, frozenset[date]],
        ids: Mapping[str, set[int]],
        of_ids: Callable[[Sequence[int]], Mapping[int, frozenset[date]]],
    ) -> None:
        super().__init__(days)
        self.ids = ids
        self.of_ids = of_ids


def held_days(
    logged: Callable[[str, Mapping[str, Any]], Sequence[tuple[Any, ...]]],
    parameters: Mapping[str, Any],
    names: Mapping[str, str],
) -> HeldDays:
    """What the checkpoint has.

    Args:
        logged: rows of a section of `warehouse/ops/ingest_log.sql`.
        parameters: of the section `days_held`.
        names: that are asked for, by the names that the checkpoint has.
    """

    def of_ids(ids: Sequence[int]) -> dict[int, frozenset[date]]:
        of_settings = {name: value for name, value in parameters.items() if name != "repos"} | {"ids": list(ids)}
        return _by_repository(logged("days_held_by_id", of_settings))

    rows = logged("days_held", parameters)
    ids: dict[str, set[int]] = {}
    for repo, _, number in rows:
        ids.setdefault(names[repo], set()).update([] if number is None else [number])
    return HeldDays(_by_repository((names[repo], day) for repo, day, _ in rows), ids, of_ids)


def _by_repository(rows: Iterable[tuple[Any, ...]]) -> dict[Any, frozenset[date]]:
    days: dict[Any, set[date]] = {}
    for repo, day in rows:
        days.setdefault(repo, set()).add(day)
    return {repo: frozenset(of_repo) for repo, of_repo in days.items()}
