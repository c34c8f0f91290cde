"""The one daily partitions definition: a partition is a UTC day of activity."""

from collections.abc import Collection
from datetime import date, timedelta
from typing import TYPE_CHECKING

from qc_assets.settings import Settings

NOT_WHOLE = "partitions that are not whole"
"""Metadata of a materialization: these partitions of the run were not materialized by it, nor are they any more."""

NOTHING_MADE = "nothing was made"
"""Metadata of a result that lets what follows go on, though there is nothing that would have been materialized."""

ROWS_OF_PARTITION = "dagster/partition_row_count"
"""Metadata of a materialization: what differs between the days of a run."""

if TYPE_CHECKING:
    import dagster as dg


def daily_partitions(settings: Settings) -> "dg.DailyPartitionsDefinition":
    """Days from QC_START_DATE to the last one that can be complete, in UTC."""
    import dagster as dg  # half a second, which commands need not wait for

    last = settings.fixed_last_date
    end = None if last is None else (last + timedelta(days=1)).isoformat()
    return dg.DailyPartitionsDefinition(start_date=settings.first_date.isoformat(), end_date=end, timezone="UTC")


def in_ranges(days: Collection[date]) -> str:
    """Days in words, those that follow each other as one range; empty if there are none."""
    ranges: list[list[date]] = []
    for day in sorted(set(days)):
        if ranges and day - ranges[-1][-1] == timedelta(days=1):
            ranges[-1] = [ranges[-1][0], day]
        else:
            ranges.append([day])
    return ", ".join(" to ".join(map(str, each)) for each in ranges)


def days_between(first: date, last: date) -> list[date]:
    """Every day from `first` to `last`, both included.

    Raises:
        ValueError: if `last` is before `first`.
    """
    if last < first:
        raise ValueError(f"the range ends ({last}) before it begins ({first})")
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
