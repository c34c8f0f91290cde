"""An id holds its forge: there and back, and no two forges share one; Python and SQL say the same."""

from itertools import combinations

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from qc_assets.errors import QcError
from qc_assets.features.history import UNKNOWN
from qc_assets.features.labels import label_id
from qc_assets.forges import DEMO, GITHUB, forge_at, forge_id, forge_number, number_of, own_id, qualified
from qc_assets.store.forge_records import is_made_up, register
from qc_assets.store.schema import RAW_TABLES, id_columns, sql_sections, table_statements
from qc_assets.store.warehouse import Warehouse

NAMES = st.text(min_size=1, max_size=40)
OWN = st.integers(1, 2**40 - 1)


@given(NAMES, st.booleans(), OWN)
@example(GITHUB, False, 7)
def test_an_id_says_its_forge_and_what_that_calls_it(forge: str, is_synthetic: bool, own: int) -> None:
    assume(forge != DEMO)
    number = forge_number(forge, is_synthetic=is_synthetic)
    identity = forge_id(number, own)
    assert (number_of(identity), own_id(identity), forge_id(number, identity)) == (number, own, identity)
    assert -(2**63) <= identity < 2**63 and number_of(UNKNOWN) != number
    assert (identity < 0) == (is_synthetic and forge != GITHUB)
    assert (number == 0) == (forge == GITHUB)


@given(st.lists(st.tuples(NAMES, st.booleans(), OWN), min_size=2, max_size=4, unique_by=lambda each: each[0]))
@example([("a", False, 7), ("b", True, 7)])
def test_two_forges_never_share_an_id(of: list[tuple[str, bool, int]]) -> None:
    numbers = [forge_number(name, is_synthetic=made_up) for name, made_up, _ in of]
    ids = [forge_id(number, -own if number == -1 else own) for number, (_, _, own) in zip(numbers, of, strict=True)]
    for (one, first), (other, second) in combinations(zip(numbers, ids, strict=True), 2):
        assert one == other or first != second


@given(st.text())
def test_ids_of_labels_in_files_are_no_forges(text: str) -> None:
    number = number_of(label_id(text))
    assert -(2**21) < number < -1, "made-up forges are below, the demo and real ones above"


def test_the_demo_and_github_have_the_ids_that_they_always_had() -> None:
    for number, identity in ((0, 7), (0, 2**40 - 1), (-1, -7), (-1, -(2**40)), (5, 0)):
        assert forge_id(number, identity) == identity
    assert own_id(-7) == -7
    for number, identity in ((0, 2**40), (3, -1), (0, -1), (-1, forge_id(3, 7))):
        with pytest.raises(QcError, match="is no id of forge"):
            forge_id(number, identity)


@pytest.mark.parametrize(
    ("url", "forge"),
    [
        ("https://api.github.com", "github.com"),
        ("https://github.com/o/r/pull/7", "github.com"),
        ("https://GHE.corp/api/v3", "ghe.corp"),
        ("https://ghe.corp:443/", "ghe.corp"),
        ("http://127.0.0.1:8081", "127.0.0.1:8081"),
        ("https://api.octo.ghe.com", "octo.ghe.com"),
        ("https://api.corp.example/v3", "api.corp.example"),
    ],
)
def test_a_forge_is_its_host(url: str, forge: str) -> None:
    assert forge_at(url) == forge


def test_sql_has_the_same_rules(warehouse: Warehouse) -> None:
    cases = [(forge_number(name, is_synthetic=made_up), own) for name in ("ghe.corp", GITHUB) for made_up in (0, 1)
             for own in (1, 2**40 - 1)] + [(-1, -5), (3, 0)]  # fmt: skip
    with warehouse.scratch() as connection:
        for number, own in cases:
            identity = forge_id(number, own)
            row = connection.execute(
                "SELECT forge_id($n, $own), forge_number($id), own_id($id)", {"n": number, "own": own, "id": identity}
            ).fetchone()
            assert row == (identity, number_of(identity), own_id(identity))
        assert connection.execute("SELECT forge_id(0, -1), forge_id(3, 1099511627776), forge_id(3, NULL)").fetchone() \
            == (None, None, None)  # fmt: skip


def test_a_warehouse_knows_its_forges_and_refuses_what_it_could_not_tell_apart(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    with warehouse.write() as connection:
        number = register(connection, "ghe.corp", is_synthetic=False)
        assert register(connection, "ghe.corp", is_synthetic=False) == number
        register(connection, "127.0.0.1:8081", is_synthetic=True)
        assert [is_made_up(connection, name) for name in ("ghe.corp", "127.0.0.1:8081", "other")] == [
            False,
            True,
            False,
        ]
        assert connection.execute(
            "SELECT ops.forge_of($1), ops.qualified($1, 'o/r')", [forge_id(number, 7)]
        ).fetchone() == ("ghe.corp", "ghe.corp/o/r")
        with pytest.raises(QcError, match="showed real activity when it was first loaded, and shows made-up"):
            register(connection, "ghe.corp", is_synthetic=True)
        monkeypatch.setattr("qc_assets.store.forge_records.forge_number", lambda forge, *, is_synthetic: number)
        with pytest.raises(QcError, match=r"other\.corp and ghe\.corp have the same number"):
            register(connection, "other.corp", is_synthetic=False)
    assert (
        qualified("ghe.corp", "o/r") == "ghe.corp/o/r" and qualified(GITHUB, "o/r") == qualified(DEMO, "o/r") == "o/r"
    )


def test_every_column_that_looks_like_an_id_is_declared_as_one() -> None:
    tables = [*table_statements(), *(f"features/{name}" for name in ("pull_requests", "issues", "comments"))]
    for table in [*tables, "reports/critiques"]:
        if table == "schema":
            continue
        sections = sql_sections(table)
        head = (sections.get("table") or sections[""]).partition("\n);")[0]
        lines = [line.strip() for line in head.splitlines() if " BIGINT" in line]
        ids = {line.split()[0] for line in lines if line.split()[0].endswith("_id")} - {"label_id"}
        assert ids <= set(id_columns(table.replace("/", "."))), table
    assert all(id_columns(f"raw.{table}") for table in RAW_TABLES)
