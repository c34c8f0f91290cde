"""What is shown on a pull request: one comment that is changed and never doubled, or one check run that fails nobody.

Ours is what our own identity wrote and what begins with our mark: anybody can copy the mark, and who may write in a
repository could change comments of others.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

from qc_assets.bounded_http import BoundedClient
from qc_assets.clock import Clock, SystemClock
from qc_assets.errors import QcError, SourceError
from qc_assets.forges import forge_at
from qc_assets.settings import Settings
from qc_assets.sources.github.answers import Answer, Kind, classify
from qc_assets.sources.github.client import Client, RequestError, odd_answers
from qc_assets.sources.github.identities import Pool, identities
from qc_assets.sources.github.query import Part
from qc_assets.sources.github.state import State

MARK = "<!-- qc-assets p0 -->"
CHECK_NAME = "qc p0"
_PAGE, _MOST_PAGES = 100, 50
_DEADLINE_S = 30.0
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_ADVICE: Mapping[int, str] = {
    401: "the token is wrong, expired or revoked: set it anew",
    403: "the App or token lacks a permission: a comment needs pull_requests: write, a check run checks: write and an "
    "App (a personal token cannot make one)",
    404: "there is no such pull request, or the App or token does not see the repository: install it there",
    410: "the conversation is gone",
    422: "GitHub refused the text: the pull request may be locked, or its head commit gone",
}


class PostingError(QcError):
    """Something could not be shown on a pull request.

    Attributes:
        is_final: whether trying again later would not help.
    """

    def __init__(self, message: str, *, is_final: bool) -> None:
        super().__init__(message)
        self.is_final = is_final


class TakenDownError(PostingError):
    """What we showed was deleted by somebody, who does not want it."""


@dataclass(frozen=True)
class PostedNote:
    """What stands on a pull request now.

    Attributes:
        identity: the number of the comment or check run.
        done: created, updated, or unchanged.
    """

    identity: int
    done: str


class PullRequestBoard:
    """Shows things on pull requests of GitHub, by one identity: the App of the settings, else the first token.

    Args:
        client: who asks; its pool has one member.
    """

    def __init__(self, client: Client) -> None:
        self.client = client
        self.forge = forge_at(client.rest_url)
        self._login = ""

    @classmethod
    def from_settings(cls, settings: Settings, clock: Clock | None = None) -> Self:
        """The board of the settings.

        Raises:
            SourceError: if there is no token.
        """
        clock, folder = clock or SystemClock(), settings.home / "github"
        # Whoever wrote a comment has to be who changes it; the App comes last, and is who may make check runs.
        known = identities(settings, folder)
        member = known[-1] if settings.github_app_id else known[0]
        client = Client(
            Pool([member], State(folder / "state.db"), clock, _refuse_to_wait),
            clock,
            url=settings.github_url,
            tries=settings.github_tries,
            first_wait_s=settings.github_first_wait_s,
            deadline_s=min(_DEADLINE_S, settings.github_deadline_s),
            max_bytes=settings.github_max_answer_bytes,
        )
        return cls(client)

    def close(self) -> None:
        """Close the connections."""
        self.client.close()

    def pull_request(self, repo: str, number: int) -> dict[str, Any]:
        """A pull request as the REST API has it now.

        Raises:
            PostingError: if it cannot be read.
        """
        with _explained(f"{repo}#{number} cannot be read"):
            document = self._rest("GET", f"/repos/{_plain(repo)}/pulls/{number}")
            if not isinstance(document, dict):
                raise TypeError("no pull request")
            return document

    def comment(self, repo: str, number: int, text: str, known: int | None = None) -> PostedNote:
        """Show a text as one comment: change the one that is there, or write it.

        Args:
            repo: owner/name.
            number: of the pull request.
            text: Markdown; the mark is put before it.
            known: the comment that was written before, if that is known.

        Raises:
            TakenDownError: if the known comment was deleted.
            PostingError: if GitHub does not let it be shown.
        """
        place, body = f"/repos/{_plain(repo)}/issues", f"{MARK}\n{text}"
        with _explained(f"nothing is shown on {repo}#{number}"):
            own = self._known_comment(f"{place}/comments/{known}") if known else self._own_comment(f"{place}/{number}")
            if own is None:
                answer = self._rest("POST", f"{place}/{number}/comments", {"body": body})
                return PostedNote(int(answer["id"]), "created")
            if _same(own["body"], body):
                return PostedNote(int(own["id"]), "unchanged")
            self._rest("PATCH", f"{place}/comments/{own['id']}", {"body": body})
            return PostedNote(int(own["id"]), "updated")

    def check_run(self, repo: str, number: int, sha: str, title: str, text: str) -> PostedNote:
        """Show a text as one check run of a commit, which has ended and is neutral.

        Args:
            repo: owner/name.
            number: of the pull request.
            sha: its head commit.
            title: one line.
            text: Markdown.

        Raises:
            PostingError: if GitHub does not let it be shown.
        """
        place, ours = f"/repos/{_plain(repo)}", f"qc-assets p0 {number}"
        output = {"title": title, "summary": text}
        document = {"name": CHECK_NAME, "external_id": ours, "status": "completed", "conclusion": "neutral"}
        with _explained(f"nothing is shown on {repo}#{number}"):
            name = CHECK_NAME.replace(" ", "%20")
            listed = self._rest(
                "GET", f"{place}/commits/{_sha(sha)}/check-runs?check_name={name}&filter=all&per_page={_PAGE}"
            )
            slug = self._who().removesuffix("[bot]")
            # Another App may use our name and our words.
            own = [
                run for run in listed["check_runs"] if run["external_id"] == ours and (run["app"] or {})["slug"] == slug
            ]
            if not own:
                answer = self._rest("POST", f"{place}/check-runs", document | {"head_sha": sha, "output": output})
                return PostedNote(int(answer["id"]), "created")
            run = own[0]
            if run["output"]["title"] == title and _same(run["output"]["summary"], text):
                return PostedNote(int(run["id"]), "unchanged")
            self._rest("PATCH", f"{place}/check-runs/{run['id']}", document | {"output": output})
            return PostedNote(int(run["id"]), "updated")

    def _known_comment(self, path: str) -> Mapping[str, Any] | None:
        try:
            comment: Mapping[str, Any] = self._rest("GET", path)
        except RequestError as error:
            if error.status in (404, 410):
                raise TakenDownError(
                    "what was shown was deleted by somebody, and is not shown again", is_final=True
                ) from error
            raise
        return comment if self._is_own(comment) else None

    def _own_comment(self, place: str) -> Mapping[str, Any] | None:
        for page in range(1, _MOST_PAGES + 1):
            comments = self._rest("GET", f"{place}/comments?per_page={_PAGE}&page={page}")
            own = next((comment for comment in comments if self._is_own(comment)), None)
            if own is not None or len(comments) < _PAGE:
                return own
        raise PostingError(
            f"it has more than {_PAGE * _MOST_PAGES:,} comments: too many to look for ours", is_final=True
        )

    def _is_own(self, comment: Mapping[str, Any]) -> bool:
        if not str(comment["body"] or "").startswith(MARK):
            return False
        author = comment["user"] or {}
        names = [self._who(), f"{self._who()}[bot]"] if author.get("type") == "Bot" else [self._who()]
        return author.get("login") in names

    def _who(self) -> str:
        if not self._login:
            with odd_answers("graphql viewer"):
                self._login = str(self.client.query([Part("viewer", {})]).data[0]["login"])
        return self._login

    def _rest(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> Any:
        """One request, JSON for JSON. What makes something is sent once: it may have been made without an answer."""
        told: list[Any] = []

        def send(http: BoundedClient) -> Any:
            more: dict[str, Any] = {} if document is None else {"json": document}
            headers = {"Accept": "application/vnd.github+json"}
            return http.send(method, self.client.rest_url + path, headers=headers, **more)

        def understand(response: Any) -> Answer:
            if not response.is_success:
                return classify(response, self.client.clock.now())
            told[:] = [response.json()]
            return Answer(Kind.OK, response.status_code)

        self.client.ask(f"{method} {path}", send, understand, tries=1 if method == "POST" else None)
        return told[0]


def _refuse_to_wait(sentence: str, seconds: float) -> None:
    raise PostingError(f"{sentence}: try again then", is_final=False)


def _plain(repo: str) -> str:
    """The name, if it is one: it becomes a part of a URL."""
    if not _NAME.fullmatch(repo) or {".", ".."} & set(repo.split("/")):
        raise PostingError(f"{repo[:100]!r} is no name of a repository: write owner/name", is_final=True)
    return repo


def _sha(sha: str) -> str:
    if not re.fullmatch("[0-9a-f]{40,64}", sha):
        raise ValueError("the head commit has no SHA")
    return sha


def _same(shown: Any, text: str) -> bool:
    return str(shown or "").replace("\r\n", "\n").strip() == text.strip()


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turns what GitHub and its client say into one sentence."""
    try:
        with odd_answers("GitHub's REST API"):
            yield
    except RequestError as error:
        advice = _ADVICE.get(error.status or 0, "GitHub cannot be reached or is in trouble: try again later")
        raise PostingError(f"{what}: {error}; {advice}", is_final=error.is_final) from error
    except PostingError as error:
        raise type(error)(f"{what}: {error}", is_final=error.is_final) from error
    except SourceError as error:
        raise PostingError(f"{what}: {error}", is_final=True) from error
