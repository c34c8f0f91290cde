"""Looking at the warehouse from a terminal: `qc sql` in all its forms, `qc tables`, `qc describe`, `qc report`."""

import csv
import fcntl
import io
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pytest
from prompt_toolkit.application import create_app_session
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from qc_assets.cli import console, report_command
from qc_assets.cli.sql_prompt import SqlCompleter, ask_until_done, is_whole
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse
from tests.command_line import run_qc


@pytest.fixture
def qc(small_home: Settings, tmp_path: Path) -> Any:
    """`qc` on the small home, which it only reads."""
    places = {"QC_HOME": str(small_home.home), "QC_WAREHOUSE": str(small_home.warehouse)}

    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return run_qc(tmp_path, places | environment, *arguments)

    return run


def test_a_row_too_wide_for_the_terminal_is_a_line_for_each_value(qc: Any) -> None:
    wide = qc("sql", "FROM pull_requests ORDER BY ALL LIMIT 2", COLUMNS="100").stdout
    assert "row 1" in wide and "row 2" in wide and "┃" not in wide
    assert all(len(line) <= 100 for line in wide.splitlines())
    assert re.search(r"earlier_pull_requests_here +\d", wide)
    narrow = "SELECT repository, number FROM pull_requests ORDER BY ALL LIMIT 2"
    assert "┃ repository" in qc("sql", narrow).stdout
    assert "┃ repository" in qc("sql", narrow, "--unsafe").stdout
    assert "row 2" in qc("sql", narrow, "--vertical").stdout
    assert "… more than 1 rows" in qc("sql", narrow, "--vertical", "--limit", "1").stdout
    assert "0 rows" in qc("sql", "FROM pull_requests WHERE false", COLUMNS="60").stdout


def test_csv_has_all_rows_and_no_formula(qc: Any) -> None:
    written = qc("sql", "SELECT repository, number, title, passed FROM pull_requests ORDER BY ALL", "--csv").stdout
    assert len(list(csv.DictReader(io.StringIO(written)))) == 400, "not only a hundred"
    hostile = (
        "SELECT '=cmd|calc' AS a, 'x\ny, \"z\"' AS b, NULL AS c, [1, 2] AS d, true AS e, DATE '2024-01-02' AS f, "
        "-1.5 AS g"
    )
    rows = list(csv.reader(io.StringIO(qc("sql", hostile, "--csv").stdout)))
    assert rows == [list("abcdefg"), ["'=cmd|calc", 'x\ny, "z"', "", "[1, 2]", "true", "2024-01-02", "-1.5"]]
    assert qc("sql", "SELECT 1 AS n", "--csv", "--limit", "0").stdout == "n\n"
    assert "choose one" in qc("sql", "SELECT 1", "--csv", "--json").stderr


def test_a_query_may_come_by_a_pipe(qc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("SHOW TABLES"))
    assert "pull_requests" in qc("sql").stdout


def test_what_has_no_table_is_named_with_what_makes_it(qc: Any) -> None:
    answer = qc("sql", "FROM payouts")
    assert answer.returncode == 1 and "analysis.payouts is not there yet" in answer.stderr


def test_tables_and_what_stands_in_their_columns(qc: Any) -> None:
    listed = qc("tables").stdout
    assert listed.index("analysis.pull_requests") < listed.index("features.pull_requests")
    assert "observed." not in listed
    described = qc("describe", "pull_requests", COLUMNS="140").stdout
    assert described.startswith("analysis.pull_requests: One row a pull request, with names")
    assert "What stands in its 400 rows" in described
    assert re.search(r"│ passed +│ [\d.]+% +│ +2 │ 0 +│ [01] +│ 1 +│ 0\.\d+", described), described
    document = qc("describe", "features.issues", "--json").stdout
    assert '"name": "features.issues"' in document and '"rows": 320' in document
    assert qc("describe", "predictions").stdout.startswith("analysis.predictions: ")
    assert "no table nonsense: name one of analysis.comments" in qc("describe", "nonsense").stderr
    assert "several tables have the name log" not in qc("describe", "critique.log").stderr


def test_text_of_strangers_does_not_act_on_the_terminal() -> None:
    for vertical in (True, False):
        parts = console.shown_rows(["\x1b]0;x\x07"], [{"\x1b]0;x\x07": "\x1b[31mred\u202e"}], 5, vertical=vertical)
        with console.out.capture() as shown:
            for part in parts:
                console.out.print(part)
        assert "\x1b]" not in shown.get() and "\x1b[31mred" not in shown.get() and "\\x1b[31mred" in shown.get()


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("SELECT 1", True), ("SELECT count(*)\nFROM", False), ("FROM raw.users WHERE", False), ("exit", True),
        ("FROM x;", True), ("", True), ("nonsense here", True), ("SELECT (1", False),
    ],
)  # fmt: skip
def test_enter_runs_what_is_whole(text: str, whole: bool) -> None:
    assert is_whole(text) is whole


def test_the_prompt_completes_tables_and_their_columns(small_home: Settings) -> None:
    completer = SqlCompleter(Warehouse.from_settings(small_home))

    def offered(text: str, cursor: int | None = None) -> list[str]:
        return [each.text for each in completer.get_completions(Document(text, cursor), CompleteEvent())]

    assert offered("FROM analysis.pu") == ["analysis.pull_requests"]
    assert offered("FROM pull_r") == ["pull_requests"]
    assert "seniority" in offered("SELECT senio FROM pull_requests", 12)
    assert "seniority" not in offered("SELECT senio FROM repositories", 12)
    assert offered("sel") == ["SELECT"]


def test_the_prompt_answers_goes_on_after_an_error_and_keeps_history(
    small_home: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = tmp_path / "new" / "history"
    with create_pipe_input() as keys, create_app_session(input=keys, output=DummyOutput()):
        keys.send_text("FROM nowhere\rDROP TABLE raw.users\rSELECT 40 + 2 AS answer\rexit\r")
        ask_until_done(Warehouse.from_settings(small_home), history, 10, vertical=False, unsafe=False)
    printed = capsys.readouterr()
    assert "nowhere does not exist" in printed.err and "read-only" in printed.err
    assert "answer" in printed.out and "42" in printed.out
    assert "SELECT 40 + 2 AS answer" in history.read_text()


@pytest.mark.slow
def test_the_prompt_in_a_real_terminal(small_home: Settings, tmp_path: Path) -> None:
    places = {"QC_HOME": str(tmp_path), "QC_WAREHOUSE": str(small_home.warehouse), "TERM": "xterm", "COLUMNS": "100"}
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "qc_assets.cli", "sql"],
        stdin=terminal, stdout=terminal, stderr=terminal, env=os.environ | places, cwd=tmp_path, close_fds=True,
    )  # fmt: skip
    os.close(terminal)
    shown = b""

    def until(text: bytes) -> None:
        nonlocal shown
        end = time.monotonic() + 60
        while text not in shown and time.monotonic() < end:
            if select.select([controller], [], [], 0.2)[0]:
                shown += os.read(controller, 65536)
                # It asks where the cursor is, as prompts do.
                if shown.endswith(b"\x1b[6n"):
                    os.write(controller, b"\x1b[1;1R")
        assert text in shown, shown[-2000:]

    until(b"qc>")
    os.write(controller, b"SELECT 'a' || 'b' || count(*) AS n FROM pull_requests\r")
    until(b"ab400")
    shown = b""  # the next prompt
    until(b"qc>")
    os.write(controller, b"\x04")
    assert process.wait(30) == 0
    os.close(controller)
    assert (tmp_path / "sql_history").stat().st_mode & 0o077 == 0, "what was asked is nobody else's"


def test_the_report_is_written_where_it_is_wanted(qc: Any, tmp_path: Path) -> None:
    answer = qc("report", "--output", str(tmp_path / "state.html"))
    assert answer.returncode == 0 and (tmp_path / "state.html").read_text().startswith("<!doctype html>")
    assert "is not a folder" in qc("report", "--output", str(tmp_path / "none" / "state.html")).stderr


def test_notebooks_need_their_extra_and_say_so(qc: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_command, "find_spec", lambda name: None)
    answer = qc("notebook")
    assert answer.returncode == 1
    assert "jupyterlab and altair not installed: pip install 'qc-assets[notebooks]'" in answer.stderr


def test_notebooks_are_copied_where_they_are_missing_and_opened(
    qc: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in = "import sys, pathlib; pathlib.Path('opened').write_text(sys.argv[1])"
    (tmp_path / "jupyterlab.py").write_text(stand_in)
    monkeypatch.syspath_prepend(tmp_path)
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    assert qc("notebook", PYTHONPATH=paths).returncode == 0
    assert (tmp_path / "opened").read_text() == "notebooks"
    kept = tmp_path / "notebooks" / "explore.ipynb"
    assert kept.is_file()
    kept.write_text("mine")
    assert qc("notebook", PYTHONPATH=paths).returncode == 0
    assert kept.read_text() == "mine"
