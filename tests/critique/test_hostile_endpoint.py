"""Endpoints that drip, flood or speak something else: a discussion goes without its summary, nothing more."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from qc_assets.critique.language_model import LanguageModel
from qc_assets.critique.threads import Remark, Thread
from tests.fakes.raw_server import HEAD, document, raw_server

TALK = Thread(1, 1, 1, "a.py", (Remark(1, "reviewer", "Take the lock."),))


@pytest.mark.parametrize(
    ("pieces", "every_s", "error_type"),
    [
        ([HEAD, b"\r\n", *[b" "] * 99], 0.05, "APITimeoutError"),
        ([HEAD, b"\r\n", b" " * 2**21], 0, "odd_answer"),
        (document(b"[" * 10_000 + b"]" * 10_000), 0, "odd_answer"),
        (document(b"[1]"), 0, "odd_answer"),
        (document(b"null"), 0, "odd_answer"),
        (document(b"<html>"), 0, "odd_answer"),
        (document(b'{"choices": [{"message": {"role": "assistant", "content": 5}}]}'), 0, "odd_answer"),
    ],
)
def test_an_odd_answer_costs_its_discussion_and_shows_no_password(
    pieces: list[bytes], every_s: float, error_type: str, tmp_path: Path
) -> None:
    with raw_server(pieces, every_s=every_s) as url:
        secret = url.replace("//", "//user:pa55word@")
        model = LanguageModel(secret, SecretStr("k"), "m", tmp_path / "cache.db", tries=1, deadline_s=1)
        (attempt,) = model.summarize([TALK])
    assert attempt.summary is None and attempt.error_type == error_type
    assert "pa55word" not in attempt.error + repr(model)
