"""A history of what no demo has: odd texts and instants, deliveries, feedback, labels of files; always the same."""

import json
import random
from datetime import timedelta
from typing import Any

from qc_assets.store.warehouse import Warehouse
from tests import histories
from tests.histories import changed_file, comment, hour, issue, label, pull_request, request, review

TITLES = (
    "fix(parser)!: x", "FEAT: y", "docs:\u00a0z", "refactor : w", "[Merged by Bors] - x\n", "fİx: ΟΔΟΣ", "chore\n: v",
    "\u2003bug:  u", "fix:\x0bt", "ﬁx: s", "", None, "Docs(a b): r", "🙂 fix: q", "fix(\u2028): p",
)  # fmt: skip
BODIES = (
    "", None, " ", "\u00a0\u3000", "\t", "## Why\r\n### ΟΔΟΣ ΣΊΣΥΦΟΣ:\n- [x] a\n- [ ] b ://c",
    "#  Why #\n#How\n####### x",
    "Fixes #101, closes: GH-102\u2028resolved #103 refixes #104 fix #105x", "closeſ #101", "CLOSES #102.", "fix\n#103",
    "Requested by: @octo-cat\r\n", "started by @Ann\u212a\nrequested by @x--y.", "a\nRequested by @late and more",
    "🤖 Generated with [Claude Code](x)", "> Generated with [Claude Code]", "```\nGenerated with Claude Code\n```",
    "_Generated with Claude Code", "xGenerated with Claude Code", "`Generated with\nClaude Code`",
    "```open Generated with", "Co-authored-by: Cursor", " \nCo-authored by Cursor Agent <",
    "Co-authored-by: Cursor\u0085x", "x\r\n\r\n```a``````b```", "see chatgpt.com/codex/tasks/task_1", 
    "- [X] ΣΣ - [x] c",
    "\\ $1 `q` \\d", "# \u00c7a va?\n## CA VA",
    "\u2028# line",
)  # fmt: skip
LABELS = (
    "Bug",
    "won't fix",
    "stale",
    "kind/bug\u00e9",
    "éfix",
    "fixé",
    "bug\n",
    "BUĞ fİx",
    "Duplicate",
    "docs",
    "merged",
    "",
)
PATHS = (
    "a.py", "docs/B.MD", "tests/c.PY", "win\\path\\d.Lock", "x/poetry.lock", "e\n/tests/y.f", "g.tar.gz", ".h", "i/",
    "ΣΣ/j.K",
    "vendor/İ.js", "k&&[l].m-1", "readme", "no/ext\u00e9", "web/a.spec.ts\n",
)  # fmt: skip
LOGINS = ("copilot-swe-agent[bot]", "Ann", "dependabot", "claude[bot]\n", "renovate-ſ", "zoë", "devin-ai-integration")
BRANCHES = ("main", "claude/fix-0aB1cD2eF", "claude/fix-plain", "Copilot/x", "copilot", None, "codex/y", "é/copilot/x")
REPOS = (1, 6)


def odd_rows(items: int = 240) -> dict[str, list[dict[str, Any]]]:
    """Raw rows: pull requests from 1, issues from 101 on, and what hangs on them."""
    draw = random.Random(7)
    rows: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("reviews", "label_events", "files", "review_requests")
    }
    rows |= {name: [] for name in ("issue_comments", "review_comments", "pull_requests", "issues")}
    for place in range(items):
        number, repo, author = 1 + place, draw.choice(REPOS), draw.choice([None, *range(1, 8)])
        opened = draw.choice([draw.randint(0, 9000), draw.randint(0, 40), draw.random() * 9000])
        ending = draw.choice(["closed", "merged", ""])
        closing = {ending: opened + draw.choice([0, 1, draw.random() * 900])} if ending else {}
        shared = {
            "opened_title": draw.choice(TITLES),
            "opened_body": draw.choice([*BODIES, *[BODIES[5]] * len(BODIES)]),
        }
        shared |= {"author_login": draw.choice(LOGINS), "closed_by_id": draw.choice([None, 1, 9])}
        shared |= {"opened_author_association": draw.choice([None, "MEMBER", "NONE"])}
        if draw.random() < 0.4:
            closing.pop("merged", None)
            shared |= {"closed_with": draw.choice([None, "commit", "pull_request"])}
            rows["issues"].append(issue(number, opened, repo=repo, author=author, **shared, **closing))
        else:
            shared |= {
                "closed_title": draw.choice(TITLES),
                "opened_coauthors": draw.choice([None, [], ["A (aider) <a@b>"]]),
            }
            shared |= {"head_ref": draw.choice(BRANCHES), "opened_base_ref": draw.choice(["main", "next", None])}
            shared |= {
                "opened_additions": draw.choice([None, 3, 4_000_000_000]),
                "merged_by_id": draw.choice([None, 9]),
            }
            shared |= {"author_is_bot": draw.random() < 0.2, "opened_reviewers": draw.choice([None, 0, 2])}
            rows["pull_requests"].append(pull_request(number, opened, repo=repo, author=author, **shared, **closing))
            paths = draw.sample(PATHS, draw.randint(0, 4))
            rows["files"] += [changed_file(number, path, repo=repo) for path in paths]
            who = draw.sample(range(1, 12), draw.randint(0, 3))
            rows["review_requests"] += [
                request(number, each, opened + draw.choice([0, 0.001, 1]), repo=repo) for each in who
            ]
            for _ in range(draw.randint(0, 4)):
                at, state = (
                    opened + draw.choice([0, 1, draw.random() * 99]),
                    draw.choice(["APPROVED", "CHANGES_REQUESTED"]),
                )
                given = review(len(rows["reviews"]) + 1, number, at, state, repo=repo, author=draw.randint(1, 9))
                rows["reviews"].append(given)
        for name in draw.sample(LABELS, draw.randint(0, 3)):
            rows["label_events"].append(label(number, name, opened + draw.choice([-1, 0, 2]), repo=repo))
        for table in ("issue_comments", "review_comments"):
            spoken = comment(
                10 * number + len(table), number, opened + draw.random() * 50, repo=repo, author=draw.randint(1, 9)
            )
            landing = {"body": f"Landed in {'0123abc' if place % 3 else 'é0123abc'}", "author_association": "MEMBER"}
            rows[table].append(spoken | ({"body": draw.choice(BODIES)} if table == "review_comments" else landing))
    return rows


def put_odd_history(store: Warehouse, *, beside: bool = False) -> None:
    """Put it into the warehouse, for all that feature tables are computed from."""
    rows, draw = odd_rows(), random.Random(8)
    with store.write() as connection:
        histories.put(connection, rows, beside=beside)
        connection.execute("INSERT INTO ops.machine_accounts VALUES (4, 'u4', 'setting', 0, NULL)")
        start = histories.START - timedelta(days=1)
        covered = "INSERT INTO ops.coverage SELECT 'github', unnest([1, 6]), $1, $2, 0, 0, NULL, true"
        connection.execute(covered, [start, start + timedelta(days=390)])
        for place, pull in enumerate(rows["pull_requests"][::2]):
            facts: dict[str, Any] = {
                "title": draw.choice(TITLES),
                "body": draw.choice(BODIES),
                "draft": draw.random() < 0.3,
            }
            facts |= {
                "labels": draw.choice([None, [], ["Bug", "docs\u00e9"]]),
                "reviewers": draw.choice([None, [], ["a"]]),
            }
            facts |= {
                "assignees": ["zoë", "Ann"],
                "head_ref": draw.choice(BRANCHES),
                "additions": draw.choice([None, 7]),
            }
            facts |= {
                "deletions": 1,
                "changed_files": 1,
                "commits": 2,
                "author_association": "OWNER",
                "is_from_fork": True,
            }
            for name in draw.sample(sorted(facts), 4):
                del facts[name]
            key, at, text = (pull["repo_id"], pull["number"]), hour(draw.random() * 9), json.dumps(facts)
            if place % 3:
                event = [f"{place}", *key, at, text]
                connection.execute(
                    "INSERT INTO ml.deliveries (content, event, action, repo_id, number, happened_at, received_at, "
                    "facts) VALUES ($1, 'pull_request', 'opened', $2, $3, $4, $4, $5)", event,
                )  # fmt: skip
            else:
                inputs = json.dumps({"request": {"opening": facts}}).replace(": ", ":")
                connection.execute(
                    "INSERT INTO ml.predictions (model, version, repo_id, number, role, opened_at, predicted_at, "
                    "prediction, inputs) VALUES ('p0', 1, $1, $2, 'served', $3, $3, 0.5, $4)", [*key, at, inputs],
                )  # fmt: skip
        _tell(connection, rows, draw)


def _tell(connection: Any, rows: dict[str, list[dict[str, Any]]], draw: random.Random) -> None:
    """What people say of items, and what a webhook said of closings."""
    spoken = [("p0", "outcome", row, 0, draw.choice(["passed", "failed"])) for row in rows["pull_requests"]]
    spoken += [("resolution_time", "outcome", row, 0, draw.choice(["1.5", "30", "1e2"])) for row in rows["issues"]]
    spoken += [("close_in_7_days", "outcome", row, 0, draw.choice(["closed", "open"])) for row in rows["issues"]]
    kinds = ["functional", "discussion"]
    spoken += [
        ("comment_category", "category", row, row["comment_id"], draw.choice(kinds)) for row in rows["review_comments"]
    ]
    for place, (model, kind, row, comment_id, word) in enumerate(draw.choices(spoken, k=400)):
        given = [f"{place}", model, kind, row["repo_id"], row["number"], comment_id, word, hour(draw.randint(0, 9))]
        connection.execute(
            "INSERT INTO ml.feedback (feedback_id, model, kind, repo_id, number, comment_id, label, given_by, "
            "given_at, arrival, received_key) VALUES ($1, $2, $3, $4, $5, $6, $7, 'x', $8, $9, $10)",
            [*given, draw.choice([None, place]), draw.choice([None, "a", "b", "c"])],
        )
    for row in rows["issues"]:
        if row["closed_at"]:
            ending = draw.choice(["completed", "not_planned", "duplicate"])
            key = [row["repo_id"], row["number"], row["closed_at"], ending, draw.random() < 0.3]
            connection.execute("INSERT INTO ml.closings VALUES ($1, $2, $3, $4, 9, 'u9', $5, NULL, NULL)", key)
    for place in range(90):
        row = draw.choice(rows["review_comments"]) if place % 2 else {"comment_id": None}
        body, at = f"text {draw.randint(0, 6)}", hour(place)
        connection.execute(
            "INSERT INTO ml.imported_labels VALUES ($1, $2, $3, $4, $5, 'labels.csv', $6, $7, $7, $8, NULL, $9)",
            [
                -10_000 - place, row["comment_id"], body, draw.choice([None, "a.py"]), draw.choice(kinds), place, at,
                draw.choice([None, "r1", "r2"]), draw.choice([None, place]),
            ],
        )  # fmt: skip
