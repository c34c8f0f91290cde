"""Histories in files: the same facts give the same rows, whatever program wrote them, and none are lost in silence."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from qc_assets.errors import SourceError
from qc_assets.forges import LONGEST_FORGE_TEXT
from qc_assets.settings import Settings
from qc_assets.sources.registry import open_source

Make = Callable[..., Settings]
Rows = list[dict[str, Any]]
DAY = "2024-03-{:02}T10:00:00Z"
TIMES = ("created_at", "closed_at", "merged_at")
PULLS: Rows = [
    {"repo": "a/b", "number": n, "author": "ann" if n % 2 else "Bob", "created_at": DAY.format(n), "opened_commits": n,
     "closed_at": DAY.format(n + 2) if n < 6 else None, "merged_at": DAY.format(n + 2) if n < 3 else None}
    for n in range(1, 7)
]  # fmt: skip
REVIEWS: Rows = [
    {"repo": "a/b", "number": n, "author": "eve", "state": "approved", "submitted_at": DAY.format(n + 1)}
    for n in (1, 2, 3)
]
FORGE = 'forge = "gitlab.example.org"\n'


def instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text).replace(tzinfo=None) if text else None


FACTS = [
    [
        (row["number"], row["author"], "closed" if row["closed_at"] else "open",
         *(instant(row[name]) for name in TIMES), row["opened_commits"])
        for row in PULLS
    ],
    [(row["number"], "eve", "APPROVED", instant(row["submitted_at"])) for row in REVIEWS],
]  # fmt: skip


class Read:
    """What became of a folder's files."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def rows(self, table: str, *columns: str) -> list[tuple[Any, ...]]:
        if not (self.folder / f"{table}.parquet").is_file():
            return []
        keys = ["number"] if table == "pull_requests" else ["review_id"]
        newest = pl.read_parquet(self.folder / f"{table}.parquet").sort("partition_date").unique(keys, keep="last")
        return newest.select(columns).sort(columns).rows()

    @property
    def facts(self) -> list[list[tuple[Any, ...]]]:
        assert len({person for (person,) in self.rows("pull_requests", "author_id")}) == 2, "each is one account"
        pulls = self.rows("pull_requests", "number", "author_login", "state", *TIMES, "opened_commits")
        return [pulls, self.rows("reviews", "number", "author_login", "state", "submitted_at")]

    @property
    def letters(self) -> pl.DataFrame:
        return pl.read_parquet(self.folder / "letters.parquet").sort("file", "line")


@pytest.fixture
def read(make_settings: Make, tmp_path: Path) -> Callable[..., Read]:
    def of(pulls: Rows | pl.DataFrame = PULLS, reviews: Rows | pl.DataFrame = REVIEWS, description: str = "") -> Read:
        folder = tmp_path / f"own{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "dataset.toml").write_text(description)
        for name, rows in {"pull_requests": pulls, "reviews": reviews}.items():
            if isinstance(rows, pl.DataFrame):
                rows.write_parquet(folder / f"{name}.parquet")
            else:
                (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return read_folder(make_settings, folder)

    return of


def read_folder(make_settings: Make, folder: Path) -> Read:
    return Read(open_source(make_settings(source="files", files_dir=folder)).folder)


def changed(place: int, rows: Rows = PULLS, **values: Any) -> Rows:
    return [row | values if nth == place else row for nth, row in enumerate(rows)]


def typed(rows: Rows) -> pl.DataFrame:
    frame = pl.DataFrame(rows, infer_schema_length=None)
    return frame.with_columns(pl.col(f"^({'|'.join(TIMES)}|submitted_at)$").str.to_datetime(time_zone="UTC"))


def camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(other.title() for other in others)


def objects(rows: Rows) -> Rows:
    return [{name: {"login": value, "id": 5} if name == "author" else value for name, value in row.items()}
            for row in rows]  # fmt: skip


OTHER_SHAPES: dict[str, Callable[[Rows], Rows | pl.DataFrame]] = {
    "camel case": lambda rows: [{camel(name): value for name, value in row.items()} for row in rows],
    "capitals": lambda rows: typed(rows).rename(str.upper),
    "authors as objects": objects,
    "authors as structures": lambda rows: typed(rows).with_columns(author=pl.struct(id=1, login="author")),
    "another zone": lambda rows: typed(rows).with_columns(pl.selectors.datetime().dt.convert_time_zone("Asia/Kolkata")),
    "seconds": lambda rows: typed(rows).with_columns(pl.selectors.datetime().dt.epoch("s").cast(float)),
    "milliseconds": lambda rows: typed(rows).with_columns(pl.selectors.datetime().dt.epoch("ms")),
    "nanoseconds": lambda rows: typed(rows).with_columns(pl.selectors.datetime().dt.epoch("ns").cast(str)),
    "fractions": lambda rows: typed(rows).with_columns(pl.selectors.integer().cast(float)),
    "words for nothing": lambda rows: pl.DataFrame(rows).with_columns(pl.all().cast(str).fill_null("NaT")),
    "spaces": lambda rows: [{name: f" {value} " if value and name in ("repo", "author", "state") else value
                             for name, value in row.items()} for row in rows],
}  # fmt: skip


@pytest.mark.parametrize("shape", OTHER_SHAPES)
def test_the_same_facts_in_another_shape_are_the_same_rows(read: Callable[..., Read], shape: str) -> None:
    other = read(OTHER_SHAPES[shape](PULLS), OTHER_SHAPES[shape](REVIEWS))
    assert other.facts == FACTS
    assert other.letters.is_empty()


@pytest.mark.parametrize("separator", [";", "\t", "|"])
def test_a_csv_is_cut_where_its_header_is(make_settings: Make, tmp_path: Path, separator: str) -> None:
    pl.DataFrame(PULLS).write_csv(tmp_path / "pull_requests.CSV", separator=separator, null_value="\\N")
    assert len(read_folder(make_settings, tmp_path).rows("pull_requests", *TIMES)) == 6


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("own/reviews.json", "no format that is read"),
        ("own/Reviews.csv.zst", "no format that is read"),
        ("own/reviews/part-0.parquet", "is a folder: put its parts together"),
        ("others/reviews.jsonl", "without pull_requests or issues, so nobody reads it"),
        ("own/reviews.jsonl", "no column number or pr_id"),
        ("own/pull_requests.csv", "leave one of them"),
    ],
)
def test_a_file_that_nobody_would_read_is_refused(
    make_settings: Make, tmp_path: Path, path: str, sentence: str
) -> None:
    (tmp_path / path).parent.mkdir(parents=True)
    (tmp_path / path).write_text('{"who": "knows"}\n')
    (tmp_path / "own").mkdir(exist_ok=True)
    (tmp_path / "own" / "pull_requests.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PULLS))
    with pytest.raises(SourceError, match=sentence):
        read_folder(make_settings, tmp_path)


def test_two_columns_of_one_meaning_are_refused(make_settings: Make, tmp_path: Path) -> None:
    (tmp_path / "pull_requests.csv").write_text(
        "repo,number,author,created_at,closed_at,closed_at\na/b,1,ann,2024-03-01,2024-03-02,\n"
    )
    with pytest.raises(SourceError, match="two columns closed_at"):
        read_folder(make_settings, tmp_path)


def test_what_is_called_merged_was_merged_and_silence_is_no_verdict(read: Callable[..., Read]) -> None:
    told = [
        {name: value for name, value in row.items() if name != "merged_at"}
        | {"state": "merged" if row["merged_at"] else "closed" if row["closed_at"] else "open"}
        for row in PULLS
    ]
    assert read(told).facts == FACTS
    with pytest.raises(SourceError, match="closed, and not which were merged"):
        read([{name: value for name, value in row.items() if name not in ("state", "merged_at")} for row in told])


def test_what_a_merge_queue_names_so_has_landed(read: Callable[..., Read]) -> None:
    titles = ["[Merged by Bors] - fix it", "Merged by Bors", "[merged] x"]
    rows = [row | {"merged_at": None, "title": title} for row, title in zip(PULLS[3:], titles, strict=True)]
    told = read(rows).rows("pull_requests", "number", "closed_title")
    assert told == [(4, titles[0]), (5, None), (6, None)], "of an open one the title says nothing"


def test_a_state_is_understood_or_its_row_is_refused(read: Callable[..., Read]) -> None:
    words = ["MERGED", "merged", "ABANDONED", "declined", "locked", "NEW"]
    assert read([row | {"state": word} for row, word in zip(PULLS, words, strict=True)]).facts == FACTS
    odd = read(changed(5, PULLS, state="limbo")[1:] + changed(0, PULLS, state="open")[:1])
    assert [row[0] for row in odd.rows("pull_requests", "number")] == [2, 3, 4, 5]
    assert odd.letters["reason"].to_list() == [
        "neither open nor closed, and with no time of closing: limbo",
        "it is open and merged",
    ]


def test_every_row_that_is_lost_is_told_on_a_day_that_is_loaded(read: Callable[..., Read]) -> None:
    far = changed(0, changed(5, PULLS, created_at="2999-01-01"), created_at="1970-01-01T00:00:00Z")
    lost = read(far, changed(1, REVIEWS, number=None, submitted_at="31/12/2024"))
    first, last, _ = pl.read_parquet(lost.folder / "summary.parquet").row(0)
    assert lost.letters["day"].is_between(first, last).all()
    assert lost.letters.select("file", "line").rows() == [
        (f"{lost.letters['file'][0].partition('/')[0]}/{name}", line)
        for name, line in [("pull_requests.jsonl", 1), ("pull_requests.jsonl", 6), ("reviews.jsonl", 2)]
    ]
    assert "submitted_at is no TIMESTAMP: 31/12/2024" in lost.letters["reason"][2]


@pytest.mark.parametrize("shape", [list, typed])
def test_a_text_that_no_forge_takes_costs_its_row_and_never_the_file(
    read: Callable[..., Read], shape: Callable[[Rows], Rows | pl.DataFrame]
) -> None:
    bodies = {0: "x" * LONGEST_FORGE_TEXT, 2: "y" * (LONGEST_FORGE_TEXT + 1)}
    lost = read(shape([row | {"body": bodies.get(place)} for place, row in enumerate(PULLS)]))
    assert [number for (number,) in lost.rows("pull_requests", "number")] == [1, 2, 4, 5, 6]
    endless = lost.letters.filter(pl.col("file").str.contains("pull_requests"))
    assert endless["line"].to_list() == [3]
    assert "1,048,576" in endless["reason"][0] and len(endless["reason"][0]) < 200


def test_a_review_belongs_to_the_pull_request_that_it_says(read: Callable[..., Read]) -> None:
    pulls = [row | {"pr_id": 100 + n % 3, "repo": "a/b" if n < 3 else "a/c"} for n, row in enumerate(PULLS)]
    given = [{"author": "eve", "state": "approved", "submitted_at": DAY.format(9), "pr_id": 102.0} for _ in range(2)]
    with_repo = read(pulls, [given[0] | {"repo": "A/C"}, given[1]])
    assert with_repo.rows("reviews", "number") == [(6,)], "the id is one in each repository only"
    assert "does not say what it belongs to" in with_repo.letters["reason"][0]
    alone = read([row | {"pr_id": 100 + n} for n, row in enumerate(PULLS)], given[:1])
    assert alone.rows("reviews", "number") == [(3,)], "a fraction is the same id"


@pytest.mark.parametrize("identity", [2**41, 2**63 + 7, "gid://gitlab/User/5", float("nan")])
def test_ids_that_no_warehouse_holds_cost_nobody_a_row(read: Callable[..., Read], identity: object) -> None:
    rows = [row | {"author_id": identity, "repo_id": identity if isinstance(identity, int) else 7} for row in PULLS]
    odd = read(rows, [row | {"review_id": identity if identity != identity else None} for row in REVIEWS], FORGE)
    assert odd.facts == FACTS
    ids = pl.read_parquet(odd.folder / "pull_requests.parquet").select("repo_id", "author_id")
    assert ids.max().max_horizontal().item() < 2**40


def test_ids_decide_and_names_follow(read: Callable[..., Read]) -> None:
    named = [row | {"repo_id": 7, "repo": "old/b" if row["number"] < 4 else "new/b"} for row in PULLS]
    renamed = read(named, [row | {"repo": "old/b"} for row in REVIEWS], FORGE)
    assert len(renamed.rows("reviews", "number")) == 3
    assert set(pl.read_parquet(renamed.folder / "repositories.parquet").select("repo_id", "name").rows()) == {
        (7, "new/b")
    }
    anew = read([row | {"repo_id": 7 if row["number"] < 4 else 8, "number": (row["number"] - 1) % 3 + 1}
                 for row in PULLS], [row | {"repo_id": 8} for row in REVIEWS[:2]] + REVIEWS[2:], FORGE)  # fmt: skip
    owners = pl.read_parquet(anew.folder / "pull_requests.parquet").unique(["repo_id", "number"])
    assert sorted(owners["repo_id"]) == [7, 7, 7, 8, 8, 8], "made anew under the old name, it is another"
    assert len(anew.rows("reviews", "repo_id")) == 2 and len(anew.letters) == 1, "the name alone is neither"


def test_a_bot_is_one_where_its_cell_is_empty(read: Callable[..., Read]) -> None:
    rows = changed(1, changed(0, PULLS, author="renovate[bot]"), author_is_bot="1.0")
    assert read(rows).rows("pull_requests", "number", "author_is_bot")[:3] == [(1, True), (2, True), (3, None)]


@pytest.mark.parametrize("login", ["app/dependabot", "github-actions", "project_12_bot", "group_7_bot_a1b2", "x[bot]"])
def test_programs_are_known_by_the_names_that_forges_give_them(read: Callable[..., Read], login: str) -> None:
    assert read(changed(0, PULLS, author=login)).rows("pull_requests", "number", "author_is_bot")[0] == (1, True)


def test_words_are_those_of_other_libraries_too(make_settings: Make, tmp_path: Path) -> None:
    (tmp_path / "issues.jsonl").write_text(
        '{"repo": "a/b", "number": 1, "author": "ann", "createdAt": "2024-03-01", "closedAt": "2024-03-02", '
        '"stateReason": "NOT_PLANNED", "labels": {"nodes": [{"name": "bug"}, {"name": "ui"}]}}\n'
    )
    (tmp_path / "pull_requests.jsonl").write_text(json.dumps(PULLS[0] | {"number": 2}) + "\n")
    (tmp_path / "reviews.csv").write_text(
        "number,user,state,submitted_at\n2,eve,REQUEST_CHANGES,2024-03-02\n2,bob,approve,2024-03-03\n"
    )
    read = read_folder(make_settings, tmp_path)
    assert sorted(row[0] for row in read.rows("reviews", "submitted_state")) == ["APPROVED", "CHANGES_REQUESTED"]
    issues = pl.read_parquet(read.folder / "issues.parquet").sort("partition_date")
    assert issues.select("state_reason", "labels").rows()[-1] == ("not_planned", ["bug", "ui"])
    assert read.letters.is_empty()


def test_sizes_of_which_a_commit_cannot_be_read_are_unknown(make_settings: Make, tmp_path: Path) -> None:
    (tmp_path / "pull_requests.csv").write_text(
        "repo,number,author,created_at\na/b,1,ann,2024-03-02\na/b,2,ann,2024-03-02\n"
    )
    (tmp_path / "commits.csv").write_text(
        "number,committed_at,additions,deletions\n"
        "1,2024-03-01,5,0\n1,soon,500,0\n2,2024-03-01,5,0\n2,2024-03-09,500,0\n"
    )
    rows = read_folder(make_settings, tmp_path).rows("pull_requests", "number", "opened_additions", "opened_commits")
    assert rows == [(1, None, None), (2, 5, 1)]


def test_odd_characters_cost_nothing_and_another_kind_of_file_is_refused(
    make_settings: Make, read: Callable[..., Read], tmp_path: Path
) -> None:
    odd = read([row | {"title": "half \ud83d of a pair, NUL \x00, whole \ud83d\ude00"} for row in PULLS])
    assert odd.facts == FACTS and odd.letters.is_empty()
    assert set(odd.rows("pull_requests", "title")) == {("half \ufffd of a pair, NUL \ufffd, whole \U0001f600",)}
    for text in (json.dumps(PULLS), json.dumps(PULLS[0], indent=1)):
        (tmp_path / "pull_requests.jsonl").write_text(text)
        with pytest.raises(SourceError, match="has no line that can be read; line 1: not "):
            read_folder(make_settings, tmp_path)
