"""Who makes the demo's pull requests: mostly people, a few assistants and agents, by the marks that real ones leave.

Who made one changes nothing about how it is judged: a model that says otherwise is wrong.
"""

from datetime import date

import numpy as np
import polars as pl

from qc_assets.sources.demo.population import DAY

AGENT_SHARE, ASSISTED_SHARE = 0.03, 0.04
# The agent's rule begins with the agent: before that nobody had one.
_FIRST_AGENTS = date(2024, 3, 12)
_WRITER, _ASSISTANT = "Somebody <somebody@example.org>", "aider (model) <aider@aider.chat>"
_BRANCHES = {"person": "work-", "assisted": "work-", "agent": "devin/1710201600-", "automation": "dependabot/pip/"}


def makers(rng: np.random.Generator, is_bot: np.ndarray, opened: np.ndarray, first_day: date) -> np.ndarray:
    """Who makes each pull request: person, assisted, agent or automation, (n,).

    Args:
        rng: of these draws alone.
        is_bot: whether a program opens it, (n,).
        opened: seconds from the start of the world, (n,).
        first_day: when it starts.
    """
    draw = rng.random(len(is_bot))
    is_agent = (draw < AGENT_SHARE) & (opened // DAY >= (_FIRST_AGENTS - first_day).days)
    is_assisted = draw > 1 - ASSISTED_SHARE
    return np.select([is_bot, is_agent, is_assisted], ["automation", "agent", "assisted"], "person")


def opened_columns(is_known: pl.Expr) -> dict[str, pl.Expr]:
    """Columns of raw.pull_requests for what the commits of the opening tell, where they are known, and its branch."""
    signers = pl.when(pl.col("made_by") == "assisted").then([_WRITER, _ASSISTANT]).otherwise([_WRITER])
    return {
        "head_ref": pl.col("made_by").replace_strict(_BRANCHES) + pl.col("item").cast(pl.String),
        # Messages of rewritten commits may be of later.
        "opened_coauthors": pl.when(pl.col("sizes_from").is_in(["commits", "force_push"])).then(signers),
        "opened_additions": pl.when(is_known).then("additions"),
        "opened_deletions": pl.when(is_known).then("deletions"),
        "opened_changed_files": pl.when(is_known).then("files"),
        "opened_commits": pl.when(is_known).then("commits"),
        "opened_sizes_from": pl.col("sizes_from"),
    }
