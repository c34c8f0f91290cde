"""What tells who made a change: a person, an assisted person, an agent or an automation. The rules are data.

`warehouse/origin_rules.csv` has those of the project, a file of the same columns (QC_ORIGIN_RULES) those of the user,
which go before them. `warehouse/macros.sql` applies them (`origins`), and `ops.origin_rules` keeps what was applied.
"""

import csv
import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from qc_assets.errors import SettingsError
from qc_assets.places import sql_root

if TYPE_CHECKING:
    import duckdb

ORIGINS = ("person", "assisted", "agent", "automation")
"""What a rule may say; what no rule speaks of is a person's, or unknown."""
EVIDENCE = ("account", "app", "branch", "coauthor", "body")
"""What patterns are matched against. The first of these that says anything decides."""
_COLUMNS = ("matched_against", "pattern", "origin", "agent", "meaning", "source", "since")
_MOST_RULES, _LONGEST = 500, {"pattern": 500, "agent": 40, "meaning": 200, "source": 300}
# How a pattern becomes one for the whole text: names match whole, branches from their beginning, texts anywhere.
_WHOLE = {"account": "(?i:^(?:{})$)", "app": "(?i:^(?:{})$)", "branch": "(?i:^(?:{}))"}
_ANYWHERE = "(?i:{})"


@dataclass(frozen=True)
class OriginRule:
    """One rule.

    Attributes:
        matched_against: one of `EVIDENCE`.
        pattern: a regular expression of RE2, whose letter case means nothing.
        origin: one of `ORIGINS`.
        agent: whose agent or assistant it is; empty if the rule does not say.
        meaning: why the pattern tells that, in words.
        source: where the fact is from.
        since: pull requests opened before that day are not spoken of (ISO); empty: all are.
        own: whether it is of the user's file.
    """

    matched_against: str
    pattern: str
    origin: str
    agent: str
    meaning: str
    source: str
    since: str
    own: bool = False

    @property
    def expression(self) -> str:
        """The pattern as it is applied."""
        return _WHOLE.get(self.matched_against, _ANYWHERE).format(self.pattern)


@dataclass(frozen=True)
class OriginRules:
    """All rules, the user's first: of those that match the same kind of evidence the first counts."""

    rules: tuple[OriginRule, ...]

    @cached_property
    def version(self) -> str:
        """Identity of the rules: the same rules in the same order are the same version."""
        return hashlib.sha256(json.dumps([asdict(rule) for rule in self.rules]).encode()).hexdigest()[:12]

    @cached_property
    def parameters(self) -> dict[str, object]:
        """Parameters of SQL that asks for origins: the rules, a pattern for each kind of evidence, the version."""
        listed = [
            {
                "place": EVIDENCE.index(rule.matched_against) * 10_000 + number,
                **{name: value or None for name, value in asdict(rule).items() if name not in ("since", "own")},
                "expression": rule.expression,
                "since": date.fromisoformat(rule.since) if rule.since else None,
                "own": rule.own,
            }
            for number, rule in enumerate(self.rules)
        ]
        marks = {kind: self._any_of(kind) for kind in EVIDENCE}
        return {"origin_rules": listed, "origin_marks": marks, "origin_version": self.version}

    @cached_property
    def machines(self) -> str:
        """A pattern of the logins that are agents' or automations'."""
        return self._any_of("account", ("agent", "automation"))

    def _any_of(self, kind: str, origins: tuple[str, ...] = ORIGINS) -> str:
        expressions = [
            rule.expression for rule in self.rules if rule.matched_against == kind and rule.origin in origins
        ]
        return "|".join(expressions) or r"[^\x00-\x{10FFFF}]"


def origin_rules(own: Path | None = None) -> OriginRules:
    """The rules of the project, and before them those of a user's file.

    Raises:
        SettingsError: if a row of that file is no rule; names the file and the line. Then none of its rules counts:
            who is judged by which rules must not depend on a slip that nobody noticed.
    """
    try:
        stamp = own.stat().st_mtime_ns if own else 0
    except OSError as error:
        raise SettingsError(f"QC_ORIGIN_RULES={own} cannot be read: {error.strerror}") from error
    return _rules(own, stamp)


@cache
def _rules(own: Path | None, stamp: int) -> OriginRules:
    built_in = tuple(_read(sql_root() / "origin_rules.csv", own=False))
    return OriginRules((*(_read(own, own=True) if own else ()), *built_in))


def _read(file: Path, *, own: bool) -> list[OriginRule]:
    try:
        text = file.read_text(encoding="utf-8-sig")
        table = csv.DictReader(text.splitlines(), strict=True)
        missing = [name for name in _COLUMNS[:3] if name not in (table.fieldnames or ())]
        if missing:
            raise SettingsError(f"{file}, line 1: no column {missing[0]}; a heading is {','.join(_COLUMNS)}")
        rows: list[tuple[int, Mapping[str, str]]] = []
        for row in table:
            too_many = f"more than {_MOST_RULES} rules" if len(rows) == _MOST_RULES else ""
            _refuse(file, table.line_num, too_many or _trouble(row))
            rows.append((table.line_num, row))
    except (OSError, UnicodeError, csv.Error) as error:
        raise SettingsError(f"{file} cannot be read as rules of origin: {error}") from error
    if own:  # the patterns of the project are tried by its tests, and not each time that the code location is loaded
        import duckdb

        with duckdb.connect(":memory:", config={"threads": "1"}) as connection:
            for line, cells in rows:
                _refuse(file, line, _bad_pattern(cells, connection))
    return [_rule(cells, own=own) for _, cells in rows]


def _refuse(file: Path, line: int, wrong: str) -> None:
    if wrong:
        raise SettingsError(f"{file}, line {line}: {wrong}. Mend the line, or take it out.")


def _rule(cells: Mapping[str, str], *, own: bool) -> OriginRule:
    matched_against, pattern, origin, agent, meaning, source, since = (
        (cells.get(name) or "").strip() for name in _COLUMNS
    )
    return OriginRule(matched_against, pattern, origin, agent, meaning, source, since, own)


def _trouble(row: Mapping[str, str]) -> str:
    """What is wrong with a row, but for its pattern; empty if nothing is."""
    cells = {name: str(row.get(name) or "").strip() for name in _COLUMNS}
    if None in row:  # where the reader of CSV puts cells beyond the heading
        return "more cells than columns; put a pattern with a comma between quotes"
    if cells["matched_against"] not in EVIDENCE:
        return f"matched_against is {cells['matched_against']!r:.60}; it is one of {', '.join(EVIDENCE)}"
    if cells["origin"] not in ORIGINS:
        return f"origin is {cells['origin']!r:.60}; it is one of {', '.join(ORIGINS)}"
    for name, most in _LONGEST.items():
        if len(cells[name]) > most or not cells[name].isprintable():
            return f"{name} has more than {most} characters, or some that cannot be printed"
    if cells["since"] and not _is_day(cells["since"]):
        return f"since is {cells['since']!r:.60}; it is a day such as 2025-05-16, or empty"
    return ""


def _is_day(text: str) -> bool:
    try:
        return bool(date.fromisoformat(text))
    except ValueError:
        return False


def _bad_pattern(cells: Mapping[str, str], connection: "duckdb.DuckDBPyConnection") -> str:
    import duckdb

    # Not bound as a parameter: for that DuckDB would import pandas.
    pattern = _rule(cells, own=True).expression.replace("'", "''")
    try:
        # What matches nothing at all would match everybody.
        row = connection.execute(
            f"SELECT regexp_matches('', '{pattern}'), regexp_matches('\n', '{pattern}')"
        ).fetchone()
    except duckdb.Error as error:
        return f"the pattern is no regular expression of RE2: {str(error).partition(': ')[2][:200]}"
    return "the pattern is empty, or matches an empty text, so it would match everything" if row and any(row) else ""
