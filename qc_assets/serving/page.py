"""The page for people: facts in, p0 with its reasons and payout out."""

import logging
from datetime import datetime
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl

import polars as pl
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from starlette.concurrency import run_in_threadpool

from qc_assets import pages
from qc_assets.errors import QcError
from qc_assets.features.contract import contract_of
from qc_assets.serving import journal_reader
from qc_assets.serving.api_docs import POLICY
from qc_assets.serving.cashier import objections
from qc_assets.serving.champions import Champion
from qc_assets.serving.details import details_of
from qc_assets.serving.facts import PullRequestFacts
from qc_assets.serving.outcomes import Outcome, last_reopening, standing_outcome, was_closed
from qc_assets.serving.payouts import Payout, at_both_ends, payout
from qc_assets.serving.schemas import P0Answer, bucket_of, p0_fields, repository_and_number
from qc_assets.serving.service import Serving

log = logging.getLogger(__name__)
_CONTRACT = contract_of(PullRequestFacts.table)
router = APIRouter()
_RECENT = 20
_PEOPLE = {"worker_id": "author", "task_id": "pull request"}


class _Form:
    """The form as it was sent."""

    def __init__(self, query: dict[str, str]) -> None:
        self.query = query
        self.pasted = query.get("json", "").strip()

    @property
    def is_empty(self) -> bool:
        return not any(value.strip() for value in self.query.values())

    @cached_property
    def facts(self) -> PullRequestFacts:
        """The facts that it has.

        Raises:
            ValidationError: if a field is wrong.
        """
        if self.pasted:
            return PullRequestFacts.model_validate_json(self.pasted)
        names = PullRequestFacts.model_fields
        filled = {name: self.query[name].strip() for name in names if self.query.get(name, "").strip()}
        return PullRequestFacts.model_validate(filled)


@router.get("/", response_class=HTMLResponse)
def show(request: Request) -> HTMLResponse:
    """The form, filled in by the query; nothing is answered and nothing written down."""
    return _page(request, _Form(dict(request.query_params)), is_sent=False)


@router.post("/", response_class=HTMLResponse, include_in_schema=False)
async def ask(request: Request) -> HTMLResponse:
    """The form, and what the champion says of what was sent with it."""
    body = (await request.body()).decode("utf-8", "replace")
    return await run_in_threadpool(_page, request, _Form(dict(parse_qsl(body, keep_blank_values=True))), is_sent=True)


def _page(request: Request, form: _Form, *, is_sent: bool) -> HTMLResponse:
    serving: Serving = request.app.state.serving
    shown: dict[str, Any] = {"errors": []}
    if is_sent and not form.is_empty:
        try:
            shown |= _answer(request, serving, form)
        except ValidationError as error:
            shown["errors"] = [f"{_where(wrong['loc'])}: {wrong['msg']}" for wrong in error.errors()]
        except QcError as error:
            shown["errors"] = [str(error)]
    champion = next((each for each in serving.champions.all() if each.model == "p0"), None)
    page = pages.render(
        "serving.html",
        champion=champion,
        trouble=serving.champions.troubles.get("p0", "p0 has no champion yet: run `qc train p0`"),
        as_of=serving.knowledge.as_of if serving.knowledge else None,
        is_synthetic=champion is not None and champion.bundle.is_synthetic,
        fields=_fields(form),
        flags=[
            {"name": name, "label": _label(name), "value": name in form.query}
            for name, field in PullRequestFacts.model_fields.items()
            if field.annotation is bool
        ],
        pasted=form.pasted,
        recent=pages.html_table(_recent(serving), digits=3),
        calibration=serving.calibration,
        **shown,
    )
    headers = {"content-security-policy": POLICY}
    return HTMLResponse(page, headers=headers, status_code=422 if shown["errors"] else 200)


def _answer(request: Request, serving: Serving, form: _Form) -> dict[str, Any]:
    predictions, (document,) = serving.predict("p0", [form.facts])
    details = details_of(serving, predictions)
    answer = P0Answer(**p0_fields(document), details=details)
    request.app.state.metrics.predictions.labels("p0", answer.confidence_bucket).inc()
    reasons = pages.html_table(pl.DataFrame([reason.model_dump() for reason in details.reasons]), digits=3)
    return {"answer": answer, "reasons": reasons} | _pay(serving, form, predictions.champion, document)


def _pay(serving: Serving, form: _Form, champion: Champion, document: dict[str, Any]) -> dict[str, Any]:
    value = form.query.get("value", "").strip()
    if not value:
        return {}
    beta = form.query.get("beta", "").strip() or serving.settings.payout_beta
    shown: Payout = payout(document["prediction"], value, beta)
    ends = at_both_ends(document["lower"], document["upper"], value, beta)
    return {"pay": shown, "ends": ends, "objections": "; ".join(objections(serving, document["answer"], champion))}


def _fields(form: _Form) -> list[dict[str, Any]]:
    """What `PullRequestFacts` has but the flags, and what a payout needs; explained by the comments of the SQL."""
    fields = [
        {
            "name": name,
            "label": _label(name),
            "hint": _hint(name, field),
            "about": _comment(name),
            "kind": "text" if name in _PEOPLE else "number",
            "required": field.is_required(),
        }
        for name, field in PullRequestFacts.model_fields.items()
        if field.annotation is not bool
    ]
    fields += [
        {"name": name, "label": label, "hint": hint, "about": "", "kind": "number", "required": False}
        for name, label, hint in (("value", "V, to show a payout", "1000.00"), ("beta", "beta", "QC_PAYOUT_BETA"))
    ]
    return [field | {"value": form.query.get(str(field["name"]), "")} for field in fields]


def _label(name: str) -> str:
    return _PEOPLE.get(name, name.removeprefix("is_").replace("worker", "author").replace("_", " "))


def _hint(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return str((field.examples or [""])[0])
    if field.default is not None:
        return str(field.default)
    column = PullRequestFacts.renamed.get(name)  # the account's id is no column
    return "looked up" if column is None or column in _CONTRACT.history else "now"


def _comment(name: str) -> str:
    column = _CONTRACT.columns.get(PullRequestFacts.renamed.get(name, name))
    return column.comment if column else ""


def _where(location: tuple[int | str, ...]) -> str:
    name = str(location[0]) if location else "JSON"
    return _label(name) if name in PullRequestFacts.model_fields else name


def _recent(serving: Serving) -> pl.DataFrame:
    serving.journal.flush()
    outcomes: dict[str, list[Outcome]] = {}
    for entry in journal_reader.latest(serving.journal.place, ["outcome"], 2_000):
        outcomes.setdefault(entry["document"]["task_id"], []).append(entry["document"])
    rows: list[dict[str, Any]] = []
    for entry in journal_reader.latest(serving.journal.place, ["prediction"], 10 * _RECENT):
        document = entry["document"]
        if document["model"] == "p0" and len(rows) < _RECENT:
            passed = _outcome(serving, document["task_id"], outcomes.get(document["task_id"], []))
            rows.append(
                {
                    "pull request": document["task_id"],
                    "author": document["worker_id"],
                    "asked (UTC)": datetime.fromisoformat(entry["written_at"]).strftime("%Y-%m-%d %H:%M:%S"),
                    "p0": document["prediction"],
                    "bucket": bucket_of(document["prediction"])[0].replace("_", " "),
                    "version": document["version"],
                    "outcome": {True: "passed", False: "failed", None: "not known yet"}[passed],
                }
            )
    return pl.DataFrame(rows)


def _outcome(serving: Serving, task_id: str, outcomes: list[Outcome]) -> bool | None:
    repo, number = repository_and_number(task_id)
    knowledge = serving.knowledge
    is_read = knowledge is not None and "pull_requests" in knowledge.tasks
    known = knowledge.task("pull_requests", repo, number, None) if knowledge and is_read else None
    is_reopened = knowledge is not None and last_reopening(outcomes) > knowledge.as_of.isoformat()
    if known is not None and known["passed"] is not None and not (is_reopened and was_closed(known)):
        return bool(known["passed"])
    standing = standing_outcome(outcomes)
    return None if standing is None else standing["passed"]
