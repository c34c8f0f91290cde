"""The data set: what both branches found, as Parquet and as chats, with a card that says what is in it."""

import json
import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import polars as pl

from qc_assets.clock import now_utc
from qc_assets.critique import filter, hunks
from qc_assets.critique.masks import masked, masked_code
from qc_assets.files import write_whole
from qc_assets.forges import own_id
from qc_assets.pages import fenced, markdown_table
from qc_assets.settings import Settings
from qc_assets.store.warehouse import Warehouse

SPLITS = ("train", "validation", "test")
_NOT_USED = {
    "left_out": "would leak between splits, or is a copy",
    "no_code_yet": "its code has not been looked for yet",
}
_TASK = (
    "You review code. You are shown the end of a change to a file; the last line is the one to speak of. "
    "Write one review comment that helps its author."
)


_ROLE = re.compile(
    r"(?i)<[|｜][^<>|｜\n]{0,40}[|｜]>|</?s>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]|"
    r"</?<?/?SYS>>|</?(?:start|end)_of_turn>|<(?:bos|eos|pad|unk)>|</?(?:system|assistant|user)>"
)


def chats(rows: pl.DataFrame) -> Iterator[dict[str, Any]]:
    """Rows of reports.critiques as chats: code in, critique out, with where it comes from."""
    for row in rows.iter_rows(named=True):
        where = _one_line(f"{row['path']}" + (f", in {row['section']}" if row["section"] else ""))
        yield {
            "messages": [
                {"role": "system", "content": _TASK},
                {"role": "user", "content": _said(masked_code(f"{where}\n{fenced(row['hunk'], 'diff')}"))},
                {"role": "assistant", "content": _said(masked(row["body"]))},
            ],
            "category": row["category"],
            "category_origin": row["category_origin"],
            "usefulness": row["usefulness"],
            "summary": row["summary"] and _said(masked(row["summary"])),
            "provenance": {
                "repo": row["repo"],
                "licence": row["licence"],
                "number": row["number"],
                # In words of the forge: its own id is also one that JavaScript can count.
                "forge": row.get("forge"),
                "comment_id": own_id(row["comment_id"]),
                "created_at": row["created_at"].isoformat(),
                "source": row["source"],
            },
        }


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _said(text: str) -> str:
    """What somebody said, without the signs by which templates of chats tell who speaks: a trainer reads those."""
    return _ROLE.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)


def write_dataset(store: Warehouse, folder: Path, settings: Settings) -> dict[str, int]:
    """Write the data set: ``SPLIT.parquet``, ``SPLIT.jsonl`` and ``README.md``, the card.

    Files appear whole; writing them again from the same warehouse gives the same bytes but for the card's time.

    Args:
        store: with reports.critiques.
        folder: where to; created.
        settings: of the filter, for the card.

    Returns:
        Rows by split.
    """
    folder.mkdir(parents=True, exist_ok=True)
    counts = {}
    for split in SPLITS:
        critiques = store.query(
            "SELECT *, ops.forge_of(comment_id) AS forge FROM reports.critiques WHERE split = $split "
            "ORDER BY created_at, comment_id",
            {"split": split},
        )
        masks = {"body": masked, "hunk": masked_code, "section": masked_code, "summary": masked}
        texts = [pl.col(name).map_elements(mask, return_dtype=pl.String) for name, mask in masks.items()]
        parquet = BytesIO()
        critiques.with_columns(texts).write_parquet(parquet)
        write_whole(folder / f"{split}.parquet", parquet.getvalue())
        write_whole(
            folder / f"{split}.jsonl", "".join(f"{json.dumps(chat, ensure_ascii=False)}\n" for chat in chats(critiques))
        )
        counts[split] = len(critiques)
    write_whole(folder / "README.md", card(store, settings))
    return counts


def card(store: Warehouse, settings: Settings) -> str:
    """The data card (after Gebru et al., Datasheets for Datasets, 2021): what is in it, from where, and what is not."""
    sizes, languages, licences, usefulness, steps, funnel = (
        store.sql_file("reports/critiques", section=name)
        for name in ("sizes", "languages", "licences", "usefulness", "steps", "funnel")
    )
    synthetic = store.query("SELECT count(*) FROM reports.critiques WHERE is_synthetic(source, repo_id)").item()
    meanings = filter.REASONS | hunks.REASONS | dict.fromkeys(SPLITS, "in the data set") | _NOT_USED
    untested = "test" not in set(sizes["split"])
    meaning = pl.DataFrame(list(meanings.items()), schema=["reason", "meaning"], orient="row")
    now = now_utc().strftime("%Y-%m-%d %H:%M")
    parts = [
        "# Review critiques",
        f"Written {now} UTC.",
        *(["**Synthetic data: these comments were made up.**"] if synthetic else []),
        "Each row is a review comment that somebody wrote on another's change, with the end of the hunk that it speaks "
        "of. E-mail addresses, tokens and names after an @ are masked.",
        "**Splits**: one repository in ten is in no split but test. Validation and test hold pull requests whose first "
        "critique is later than every row of train. What fits neither is left out, as are later copies of a row.",
        *(["**There is no test split**: no repository falls into it; mine more."] if untested else []),
        "## Sizes",
        _markdown(sizes),
        "## Usefulness",
        "A sign, not a label. *changed*: the line was changed afterwards, for whatever reason; *rejected*: somebody "
        "called it a false positive, or its summary says that it was turned down; *discussed*: it was answered; "
        "*unknown* is not useless.",
        _markdown(usefulness),
        "## Categories",
        "What a person said (`label`), else the newest prediction of comment_category (`prediction`), which is "
        "right for half of all comments of the project that it was taught on, and for seven of ten where it is sure "
        "enough to answer (see docs/truth.md of the project).",
        "## Languages of the repositories",
        _markdown(languages),
        "## Licences of the repositories",
        "As GitHub recognises them; the archive does not tell. Comments belong to their authors.",
        _markdown(licences),
        "## What was filtered out, and why",
        f"Likeness to criticism of at least {settings.critique_min_margin:g} beyond that to small talk; "
        f"near-duplicates within a repository from cosine {settings.critique_duplicate_cosine:g}; comments of "
        f"the newest {settings.critique_prs} pull requests of a repository; {settings.critique_lines} lines and "
        f"{settings.critique_characters} characters of code.",
        _markdown(steps.transpose(include_header=True, header_name="left after", column_names=["comments"])),
        _markdown(funnel.join(meaning, on="reason", how="left", maintain_order="left")),
        "## What it is not for",
        "It shows what reviewers of these repositories wrote, mostly in English; not what they thought and did not "
        "write. The filter drops criticism, too: see docs/critiques.md of the project for how much.",
    ]
    return "\n\n".join(parts) + "\n"


def _markdown(frame: pl.DataFrame) -> str:
    return markdown_table(frame.columns, frame.rows())
