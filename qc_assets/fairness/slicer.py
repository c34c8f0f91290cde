"""DataSlicer: groups of items that a bias report compares."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from qc_assets.errors import FairnessError
from qc_assets.fairness.seniority import Seniority

UNKNOWN = "unknown"
NO_LABEL, NO_KEYWORD = "(no label)", "(no keyword)"
FAST_HOURS, SLOW_HOURS = 5.0, 24.0
# Technical subjects by the words that name them, as regular expressions over lower-case text.
KEYWORDS: Mapping[str, str] = {
    "api": r"\b(apis?|endpoints?|rest|graphql|grpc)\b",
    "build": r"\b(builds?|ci|pipelines?|docker|packag(e|ing)|dependenc(y|ies)|workflows?)\b",
    "concurrency": r"\b(threads?|races?|deadlocks?|locks?|async|concurren(t|cy))\b",
    "crash": r"\b(crash(es|ed)?|segfaults?|panics?|exceptions?|tracebacks?)\b",
    "database": r"\b(databases?|db|sql|quer(y|ies)|migrations?|schemas?)\b",
    "documentation": r"\b(docs?|documentation|readme|tutorials?)\b",
    "interface": r"\b(ui|ux|frontend|css|layouts?|buttons?|dialogs?)\b",
    "memory": r"\b(memory|leaks?|oom|heap)\b",
    "network": r"\b(networks?|http|sockets?|timeouts?|proxy|tls|dns)\b",
    "performance": r"\b(performance|slow|fast(er)?|speed|latency|optimi[sz](e|ation))\b",
    "security": r"\b(security|vulnerabilit(y|ies)|cve|auth|tokens?|permissions?)\b",
    "testing": r"\b(tests?|testing|flaky|coverage|mocks?)\b",
}


@dataclass(frozen=True)
class _Attribute:
    """Where the groups of an attribute come from: the first of these columns that the data has."""

    columns: tuple[str, ...]
    groups: Callable[[pl.Series], pl.Series]


def _plain(values: pl.Series) -> pl.Series:
    return values.cast(pl.String).fill_null(UNKNOWN)


def _newcomer(values: pl.Series) -> pl.Series:
    return values.cast(pl.Boolean).replace_strict({True: "newcomer", False: "not a newcomer"}, default=UNKNOWN)


def _completion(hours: pl.Series) -> pl.Series:
    value = pl.col("hours")
    return (
        pl.DataFrame({"hours": hours.cast(pl.Float64).fill_nan(None)})
        .select(
            pl.when(value < FAST_HOURS)
            .then(pl.lit("fast"))
            .when(value <= SLOW_HOURS)
            .then(pl.lit("medium"))
            .when(value > SLOW_HOURS)
            .then(pl.lit("slow"))
            .otherwise(pl.lit(UNKNOWN))
        )
        .to_series()
    )


_ONE_GROUP_EACH: Mapping[str, _Attribute] = {
    "repo": _Attribute(("repo", "repository", "repo_name", "repo_id"), _plain),
    "seniority": _Attribute(("seniority", "author_seniority"), _plain),
    "origin": _Attribute(("origin",), _plain),
    "completion_time": _Attribute(("completion_hours", "resolution_hours", "hours"), _completion),
    "language": _Attribute(("language", "repo_language"), _plain),
    "newcomer": _Attribute(("is_newcomer", "author_is_newcomer"), _newcomer),
}
ATTRIBUTES = (*_ONE_GROUP_EACH, "labels", "keywords")
# An item may be in several of their groups.
OVERLAPPING = ("labels", "keywords")


class DataSlicer:
    """Cuts items into groups, as frames of the kind that was given.

    Args:
        data: polars or pandas frame, one row an item. Rows whose column `is_bot` is true are left out.
        include_bots: keep these.
        seniority: thresholds, where levels must be computed from earlier work and tenure.

    Every ``slice_by_…`` returns the groups by name, largest first. Values that are missing make a group of their
    own, ``unknown``, except for labels and keywords, where it means that there is none.
    """

    def __init__(self, data: Any, *, include_bots: bool = False, seniority: Seniority | None = None) -> None:
        self._is_pandas = not isinstance(data, pl.DataFrame)
        if self._is_pandas and not hasattr(data, "iloc"):
            raise FairnessError(f"data is a {type(data).__name__}: give a polars or a pandas frame")
        if not include_bots and "is_bot" in data.columns:
            keep = ~_column(data, "is_bot").cast(pl.Boolean).fill_null(False).to_numpy()
            data = data[keep] if self._is_pandas else data.filter(pl.Series(keep))
        self.data = data
        self._seniority = seniority or Seniority()

    def slice_by_repo(self, column: str | None = None) -> dict[str, Any]:
        """By repository: `column`, else ``repo``, ``repository``, ``repo_name`` or ``repo_id``."""
        return self.slice_by("repo", column)

    def slice_by_seniority(self, column: str | None = None) -> dict[str, Any]:
        """By the author's seniority when the item was opened: `column`, else ``seniority`` or ``author_seniority``.

        Where there is none of these it is computed from ``author_prior_merged_in_repo``,
        ``author_tenure_in_repo_days`` and, if given, ``author_association``; see `Seniority`.
        """
        return self.slice_by("seniority", column)

    def slice_by_origin(self, column: str | None = None) -> dict[str, Any]:
        """By who made the change: `column`, else ``origin``: person, assisted, agent, automation or unknown."""
        return self.slice_by("origin", column)

    def slice_by_labels(self, column: str | None = None) -> dict[str, Any]:
        """By label, of `column` or ``labels``: lists, or text with commas. An item is in the group of each label."""
        return self.slice_by("labels", column)

    def slice_by_completion_time(self, column: str | None = None) -> dict[str, Any]:
        """fast (under 5 h), medium, slow (over 24 h) or unknown, by hours in `column`, else ``completion_hours``,
        ``resolution_hours`` or ``hours``."""
        return self.slice_by("completion_time", column)

    def slice_by_keywords(
        self, columns: Sequence[str] | str | None = None, keywords: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        """By technical subject: regular expressions (`KEYWORDS` if none are given) over the lower-case text of
        `columns`, else ``title``, ``opened_title``, ``body`` and ``opened_body`` as far as there are any."""
        return self._cut(self._keywords(columns, keywords or KEYWORDS))

    def slice_by_language(self, column: str | None = None) -> dict[str, Any]:
        """By the repository's main language: `column`, else ``language`` or ``repo_language``."""
        return self.slice_by("language", column)

    def slice_by_newcomer(self, column: str | None = None) -> dict[str, Any]:
        """Newcomers or not: `column`, else ``is_newcomer`` or ``author_is_newcomer``."""
        return self.slice_by("newcomer", column)

    def slice_by(self, attribute: str, column: str | None = None) -> dict[str, Any]:
        """By one of `ATTRIBUTES`, or by the values of any other column.

        Raises:
            FairnessError: if the data lacks the column.
        """
        return self._cut(self.members(attribute, column))

    def slice_by_intersection(self, first: str, second: str) -> dict[str, Any]:
        """By two attributes at once: ``acme/atlas & newcomer``; groups without an item are left out."""
        ones, others = self.members(first), self.members(second)
        crossed = {f"{a} & {b}": np.intersect1d(ones[a], others[b], assume_unique=True) for a in ones for b in others}
        return self._cut({name: rows for name, rows in crossed.items() if len(rows)})

    def members(self, attribute: str, column: str | None = None) -> dict[str, np.ndarray]:
        """Row numbers of each group of an attribute, see `slice_by`."""
        if attribute == "keywords":
            return self._keywords(column, KEYWORDS)
        if attribute == "labels":
            return self._labels(column or "labels")
        if attribute in _ONE_GROUP_EACH:
            known = _ONE_GROUP_EACH[attribute]
            names = (column,) if column else known.columns
            present = next((name for name in names if name in self.data.columns), None)
            if present is None and attribute == "seniority" and column is None:
                return _members(self._computed_seniority())
            if present is None:
                raise self._lacks(attribute, names)
            return _members(known.groups(_column(self.data, present)))
        if (column or attribute) not in self.data.columns:
            raise self._lacks(attribute, (column or attribute,))
        return _members(_plain(_column(self.data, column or attribute)))

    def _computed_seniority(self) -> pl.Series:
        needed = ("author_prior_merged_in_repo", "author_tenure_in_repo_days")
        lacking = [name for name in needed if name not in self.data.columns]
        if lacking:
            raise self._lacks("seniority", ("seniority", "author_seniority", *lacking))
        merged, days = (_column(self.data, name) for name in needed)
        more = ("author_association", "author_reviews_given_in_repo", "author_merges_given_in_repo")
        standing = (_column(self.data, name) if name in self.data.columns else None for name in more)
        return self._seniority.of(merged, days, *standing)

    def _labels(self, column: str) -> dict[str, np.ndarray]:
        if column not in self.data.columns:
            raise self._lacks("labels", (column,))
        values = _column(self.data, column)
        if values.dtype == pl.String:
            values = values.str.split(",").list.eval(pl.element().str.strip_chars())
        if not isinstance(values.dtype, pl.List):
            raise FairnessError(f"column {column} holds {values.dtype}: labels are lists, or text with commas")
        some = pl.when(pl.col("label").list.len() > 0).then("label")  # an empty list would lose its row
        frame = pl.DataFrame({"row": np.arange(len(values)), "label": values}).with_columns(label=some).explode("label")
        frame = frame.with_columns(pl.col("label").cast(pl.String).replace("", None).fill_null(NO_LABEL))
        return _rows_by(frame.unique())

    def _keywords(self, columns: Sequence[str] | str | None, keywords: Mapping[str, str]) -> dict[str, np.ndarray]:
        chosen = [columns] if isinstance(columns, str) else columns
        names = chosen or ("title", "opened_title", "body", "opened_body")
        present = [name for name in names if name in self.data.columns]
        if not present or (chosen and len(present) < len(chosen)):
            raise self._lacks("keywords", tuple(names))
        texts = pl.DataFrame({name: _column(self.data, name).cast(pl.String).fill_null("") for name in present})
        text = texts.select(pl.concat_str(pl.all(), separator="\n").str.to_lowercase()).to_series()
        matches = {name: text.str.contains(pattern).to_numpy() for name, pattern in keywords.items()}
        matches[NO_KEYWORD] = ~np.any(list(matches.values()), axis=0)
        return {name: np.flatnonzero(mask) for name, mask in matches.items() if mask.any()}

    def _cut(self, members: Mapping[str, np.ndarray]) -> dict[str, Any]:
        by_size = sorted(members, key=lambda name: (-len(members[name]), name))
        if self._is_pandas:
            return {name: self.data.iloc[members[name]] for name in by_size}
        return {name: self.data[members[name]] for name in by_size}

    def _lacks(self, attribute: str, columns: Sequence[str | None]) -> FairnessError:
        return FairnessError(
            f"slicing by {attribute} needs the column {' or '.join(map(str, columns))}; "
            f"the data has {', '.join(map(str, self.data.columns)) or 'no columns'}"
        )


def _column(data: Any, name: str) -> pl.Series:
    values = data[name]
    return values if isinstance(values, pl.Series) else pl.from_pandas(values.reset_index(drop=True))


def _members(groups: pl.Series) -> dict[str, np.ndarray]:
    return _rows_by(pl.DataFrame({"row": np.arange(len(groups)), "label": groups}))


def _rows_by(frame: pl.DataFrame) -> dict[str, np.ndarray]:
    parts = frame.sort("row").partition_by("label", as_dict=True, include_key=False, maintain_order=True)
    return {str(key[0]): part["row"].to_numpy() for key, part in parts.items()}
