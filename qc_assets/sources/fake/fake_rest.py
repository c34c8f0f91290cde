"""What the fake GitHub answers of the REST API: diffs, pull requests, comments, check runs, tokens of installations.

Documents have the fields of GitHub's public description as far as the product reads them.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import parse_qs, urlsplit

from qc_assets.clock import Clock
from qc_assets.forges import SAYS_MADE_UP
from qc_assets.sources.fake.fake_world import Node, World, stamp, user

if TYPE_CHECKING:
    from qc_assets.sources.fake.github_schema import Engine

_DIFF = "diff --git a/src/a.py b/src/a.py\n--- a/src/a.py\n+++ b/src/a.py\n@@ -1 +1 @@\n-a\n+b\n"
_MOST_FILES = 300  # GitHub shows no more of a comparison
_LONGEST_BODY, _LONGEST_SUMMARY = 65_536, 65_535
_CONCLUSIONS = {
    *("action_required", "cancelled", "failure", "neutral", "success", "skipped", "stale", "timed_out"),
}
_Document = Mapping[str, Any]


class RestFault(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Server(Protocol):
    """What the answers depend on."""

    world: World
    engine: "Engine"
    clock: Clock
    says_made_up: bool


class RestApi:
    """The endpoints.

    Args:
        server: whose they are.
    """

    def __init__(self, server: Server) -> None:
        self._server = server
        repository, number = r"/repos/([^/]+/[^/]+)", r"(\d+)"
        self._routes: list[tuple[str, str, Callable[..., tuple[int, Any]]]] = [
            ("GET", r"/meta", self._meta),
            ("POST", r"/app/installations/\d+/access_tokens", self._installation_token),
            ("GET", rf"{repository}/pulls/{number}", self._pull_request),
            ("GET", rf"{repository}/compare/([0-9a-f]{{40}})\.\.\.([0-9a-f]{{40}})", self._comparison),
            ("GET", rf"{repository}/issues/{number}/comments", self._comments),
            ("POST", rf"{repository}/issues/{number}/comments", self._comment),
            ("GET", rf"{repository}/issues/comments/{number}", self._one_comment),
            ("PATCH", rf"{repository}/issues/comments/{number}", self._change_comment),
            ("GET", rf"{repository}/commits/([0-9a-f]{{40}})/check-runs", self._check_runs),
            ("POST", rf"{repository}/check-runs", self._check_run),
            ("PATCH", rf"{repository}/check-runs/{number}", self._change_check_run),
        ]

    def answer(
        self, method: str, target: str, headers: Mapping[str, str], sent: bytes, fault: str | None
    ) -> tuple[int, bytes]:
        """Status and body.

        Args:
            method, target, headers, sent: the request.
            fault: a status that is answered instead; or "lost" or "hang", of which the request is done all the same.
        """
        if fault is not None and fault.isdigit():
            return int(fault), _json({"message": HTTPStatus(int(fault)).phrase})
        parts = urlsplit(target)
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        for verb, pattern, act in self._routes:
            place = re.fullmatch(pattern, parts.path)
            if verb == method and place is not None:
                try:
                    status, document = act(*place.groups(), headers=headers, query=query, sent=_read(sent))
                except RestFault as error:
                    return error.status, _json({"message": str(error)})
                return status, document if isinstance(document, bytes) else _json(document)
        return 404, _json({"message": "Not Found"})

    def _meta(self, **_: Any) -> tuple[int, Any]:
        return 200, {SAYS_MADE_UP: self._server.says_made_up}

    def _installation_token(self, headers: Mapping[str, str], **_: Any) -> tuple[int, Any]:
        """What GitHub answers an App that proves with a signed JWT who it is."""
        if headers.get("Authorization", "").count(".") != 2:
            raise RestFault(401, "Bad credentials")
        expires = stamp(datetime.now(UTC) + timedelta(hours=1))
        token = {"token": "installation", "expires_at": expires, "permissions": {}, "repository_selection": "all"}
        return 201, token

    def _comparison(self, name: str, base: str, head: str, **_: Any) -> tuple[int, Any]:
        files = self._server.world.compared(base, head) if name.lower() in self._server.world.repos else None
        if files is None:
            raise RestFault(404, "Not Found")
        return 200, {"files": files[:_MOST_FILES]}

    def _pull_request(self, name: str, number: str, headers: Mapping[str, str], **_: Any) -> tuple[int, Any]:
        item = self._item(name, number, "_pullRequests")
        if "diff" in headers.get("Accept", ""):
            return 200, item.get("_diff", _DIFF).encode()
        commits = [node["commit"] for node in item["_commits"]]
        return 200, {
            "number": item["number"],
            "state": "open" if item["closedAt"] is None else "closed",
            "draft": item["isDraft"],
            "title": item["title"],
            "body": item["body"],
            "user": _account(item["author"]),
            "author_association": item["authorAssociation"],
            "labels": [{"name": label["name"]} for label in item["_labels"]],
            "additions": item["additions"],
            "deletions": item["deletions"],
            "changed_files": item["changedFiles"],
            "commits": max(1, len(commits)),
            "created_at": item["createdAt"],
            "updated_at": item["updatedAt"],
            "closed_at": item["closedAt"],
            "merged_at": item["mergedAt"],
            "head": {"sha": commits[-1]["oid"] if commits else f"{item['number']:040x}"},
            "base": {
                "repo": {"id": item["repository"]["databaseId"], "full_name": item["repository"]["nameWithOwner"]}
            },
        }

    def _comments(self, name: str, number: str, query: Mapping[str, str], **_: Any) -> tuple[int, Any]:
        nodes = self._item(name, number)["_comments"]
        size, page = min(100, int(query.get("per_page", 30))), int(query.get("page", 1))
        return 200, [_comment(node) for node in nodes[(page - 1) * size : page * size]]

    def _comment(self, name: str, number: str, sent: _Document, **_: Any) -> tuple[int, Any]:
        item, now = self._item(name, number), self._server.clock.now()
        login = self._server.engine.viewer
        author = user(41_898_282, login.removesuffix("[bot]"), "Bot" if login.endswith("[bot]") else "User")
        comment = self._server.world.add_comment(item, now, author=author, authorAssociation="NONE", body=_body(sent))
        return 201, _comment(comment)

    def _one_comment(self, name: str, number: str, **_: Any) -> tuple[int, Any]:
        return 200, _comment(self._comment_of(name, number))

    def _change_comment(self, name: str, number: str, sent: _Document, **_: Any) -> tuple[int, Any]:
        """Whoever may write in a repository may change comments of others, too."""
        comment = self._comment_of(name, number)
        comment["body"] = _body(sent)
        comment["updatedAt"] = stamp(self._server.clock.now())
        return 200, _comment(comment)

    def _check_runs(self, name: str, sha: str, query: Mapping[str, str], **_: Any) -> tuple[int, Any]:
        runs = [run for run in self._runs(name) if run["head_sha"] == sha]
        runs = [run for run in runs if run["name"] == query.get("check_name", run["name"])]
        if query.get("filter") != "all":  # GitHub shows the latest of an App's runs of one name
            runs = list({(run["app"]["slug"], run["name"]): run for run in runs}.values())
        return 200, {"total_count": len(runs), "check_runs": runs}

    def _check_run(self, name: str, sent: _Document, **_: Any) -> tuple[int, Any]:
        if not self._server.engine.viewer.endswith("[bot]"):
            raise RestFault(403, "You must authenticate via a GitHub App.")
        if not sent.get("name") or not re.fullmatch("[0-9a-f]{40}", str(sent.get("head_sha"))):
            raise RestFault(422, "Invalid request. name and head_sha are needed.")
        run = {"id": self._server.world.number(), "app": self._app(), "details_url": "", "external_id": ""}
        self._runs(name).append(run | _checked(sent))
        return 201, self._runs(name)[-1]

    def _change_check_run(self, name: str, number: str, sent: _Document, **_: Any) -> tuple[int, Any]:
        run = next((run for run in self._runs(name) if run["id"] == int(number)), None)
        if run is None:
            raise RestFault(404, "Not Found")
        if run["app"] != self._app():
            raise RestFault(403, "Invalid app_id - check run can only be modified by the GitHub App that created it.")
        run |= _checked(sent)
        return 200, run

    def _app(self) -> Node:
        return {"slug": self._server.engine.viewer.removesuffix("[bot]")}

    def _runs(self, name: str) -> list[Node]:
        runs: list[Node] = self._repo(name).setdefault("_check_runs", [])
        return runs

    def _repo(self, name: str) -> Node:
        repo = self._server.world.repos.get(name.lower())
        if repo is None or repo["isPrivate"]:
            raise RestFault(404, "Not Found")
        return repo

    def _item(self, name: str, number: str, *kinds: str) -> Node:
        repo = self._repo(name)
        items = (item for kind in kinds or ("_pullRequests", "_issues") for item in repo[kind])
        item = next((item for item in items if item["number"] == int(number)), None)
        if item is None:
            raise RestFault(404, "Not Found")
        return item

    def _comment_of(self, name: str, number: str) -> Node:
        repo = self._repo(name)
        items = (item for kind in ("_pullRequests", "_issues") for item in repo[kind])
        comments = (comment for item in items for comment in item["_comments"])
        comment = next((comment for comment in comments if comment["fullDatabaseId"] == number), None)
        if comment is None:
            raise RestFault(404, "Not Found")
        return comment


def _read(sent: bytes) -> _Document:
    try:
        document = json.loads(sent or b"{}")
    except ValueError:
        document = None
    return document if isinstance(document, dict) else {}


def _body(sent: _Document) -> str:
    body = sent.get("body")
    if not isinstance(body, str) or not body.strip():
        raise RestFault(422, "Validation Failed: body can't be blank")
    if len(body) > _LONGEST_BODY:
        raise RestFault(422, "Validation Failed: body is too long (maximum is 65536 characters)")
    return body


def _checked(sent: _Document) -> Node:
    output = sent.get("output") or {}
    if sent.get("conclusion") not in _CONCLUSIONS or not output.get("title") or "summary" not in output:
        raise RestFault(422, "Invalid request. conclusion, output.title and output.summary are needed.")
    if len(output["summary"]) > _LONGEST_SUMMARY:
        raise RestFault(422, "Invalid request. output.summary is too long.")
    return dict(sent)


def _comment(node: Node) -> Node:
    return {
        "id": int(node["fullDatabaseId"]),
        "body": node["body"],
        "user": _account(node["author"]),
        "created_at": node["createdAt"],
        "updated_at": node["updatedAt"],
        "html_url": f"https://fake/comment/{node['fullDatabaseId']}",
    }


def _account(node: Node | None) -> Node | None:
    """An account as REST has it: there the login of a bot ends with ``[bot]``."""
    if node is None:
        return None
    is_bot = node["__typename"] == "Bot"
    login = f"{node['login']}[bot]" if is_bot else node["login"]
    return {"login": login, "id": node["databaseId"], "type": "Bot" if is_bot else "User"}


def _json(document: Any) -> bytes:
    return json.dumps(document).encode()
