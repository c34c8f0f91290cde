"""The form that a link on a pull request leads to: what is known better, by whom."""

import hashlib
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from qc_assets import pages
from qc_assets.errors import QcError
from qc_assets.serving import feedback
from qc_assets.serving.api_docs import POLICY
from qc_assets.serving.callers import CALLER
from qc_assets.serving.champions import SPECS
from qc_assets.serving.feedback import Feedback
from qc_assets.serving.feedback_links import Answered, FeedbackLinks, LinkError
from qc_assets.serving.keys import SHARED
from qc_assets.serving.schemas import bucket_of

router = APIRouter(include_in_schema=False)
_MOST_FIELDS = 10


@dataclass(frozen=True)
class _Giver:
    """Who fills the form in.

    Attributes:
        key: name of the key; empty where none is needed.
        name: whose the key is; empty where only the person can say it, as of a key that several have.
    """

    key: str
    name: str

    @classmethod
    def of_the_request(cls) -> "_Giver":
        caller = CALLER.get()
        key = "" if caller is None or caller.key is None else caller.key
        return cls(key, "" if key == SHARED else key)


@router.get("/feedback", response_class=HTMLResponse)
def show_form(request: Request, about: str = "") -> HTMLResponse:
    """The form about the answer of a link; nothing is written down."""
    links = _links(request)
    try:
        answered = links.read(about)
    except LinkError as error:
        return _page(410, errors=[str(error)])
    return _form(links, about, answered, {}, action="feedback/form")


@router.post("/feedback/form", response_class=HTMLResponse)
async def take_form(request: Request) -> HTMLResponse:
    """Write down what the form says, as `POST /feedback` does."""
    body = (await request.body()).decode("utf-8", "replace")
    try:
        sent = dict(parse_qsl(body, keep_blank_values=True, max_num_fields=_MOST_FIELDS))
    except ValueError:
        return _page(422, errors=["the form has too many fields: open the link again"])
    return await run_in_threadpool(_take, request, sent)


def _take(request: Request, sent: dict[str, str]) -> HTMLResponse:
    links, about, giver = _links(request), sent.get("about", ""), _Giver.of_the_request()
    try:
        answered = links.read(about)
        links.refuse_foreign_form(sent.get("form", ""), about, giver.key)
    except LinkError as error:
        return _page(403, errors=[str(error)])
    kind, _, label = sent.get("answer", "").partition(":")
    # The form's own token: sent twice it counts once.
    identity = hashlib.sha256(sent["form"].encode()).hexdigest()[:32]
    told: dict[str, Any] = {
        "feedback_id": f"form-{identity}",
        "model": "p0",
        "kind": kind,
        "task_id": answered.task,
        "label": label,
        "reason": sent.get("reason", "").strip() or None,
        "given_by": giver.name or sent.get("given_by", ""),
    }
    try:
        taken = feedback.accept(request.app.state.serving, Feedback.model_validate(told))
    except ValidationError as error:
        wrong = [f"{_field(item['loc'])}: {item['msg']}" for item in error.errors()]
        return _form(links, about, answered, sent, wrong, action="form")
    except QcError as error:
        return _form(links, about, answered, sent, [str(error)], action="form")
    return _page(200, taken=taken, answered=answered)


def _form(
    links: FeedbackLinks,
    about: str,
    answered: Answered,
    sent: dict[str, str],
    errors: list[str] | None = None,
    *,
    action: str,
) -> HTMLResponse:
    """The form; `action` is where it goes, from the page that it stands on."""
    giver = _Giver.of_the_request()
    return _page(
        422 if errors else 200,
        errors=errors or [],
        answered=answered,
        bucket=bucket_of(answered.p0),
        about=about,
        action=action,
        form=links.form(about, giver.key),
        giver=giver,
        answers=_answers(),
        sent=sent,
    )


def _answers() -> list[tuple[str, str]]:
    """What may be chosen: the truth, or what should be done instead of what was recommended."""
    passed, failed = SPECS["p0"].words
    truths = [(f"outcome:{passed}", "It passed its first review."), (f"outcome:{failed}", "It did not pass it.")]
    actions = [
        (f"override:{action}", f"Not decided yet, but it should be: {action.replace('_', ' ')}.")
        for action in SPECS["p0"].actions
    ]
    return truths + actions


def _field(location: tuple[int | str, ...]) -> str:
    names = {"given_by": "your name", "label": "what is true", "kind": "what is true", "reason": "why"}
    return names.get(str(location[0]), str(location[0])) if location else "what is true"


def _page(status: int, **values: Any) -> HTMLResponse:
    page = pages.render("feedback.html", **{"errors": [], "is_synthetic": False, **values})
    return HTMLResponse(page, status_code=status, headers={"content-security-policy": POLICY})


def _links(request: Request) -> FeedbackLinks:
    links: FeedbackLinks = request.app.state.checker.notes.links
    return links
