"""POST /webhook/github."""

from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from qc_assets.serving.model_routes import ERRORS, UNKNOWN
from qc_assets.serving.webhook import EVENTS, Event, WebhookAnswer, ignored

router = APIRouter()
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {"type": "object"},
                "example": {
                    "action": "opened",
                    "repository": {"full_name": "acme/atlas"},
                    "pull_request": {"number": 7},
                },
            }
        },
    }
}


@router.post("/webhook/github", openapi_extra=_BODY, responses=ERRORS | UNKNOWN)
async def github(
    request: Request,
    event: Annotated[str, Header(alias="X-GitHub-Event", max_length=100)],
    signature: Annotated[str, Header(alias="X-Hub-Signature-256", max_length=200)],
    delivery: Annotated[str, Header(alias="X-GitHub-Delivery", max_length=100)] = "",
) -> WebhookAnswer:
    """p0 when a pull request is opened or ready for review; its outcome at the first decisive review or the closing."""
    serving = request.app.state.serving
    secret = serving.settings.webhook_secret
    if secret is None:
        raise HTTPException(404, "the webhook is off: set QC_WEBHOOK_SECRET to the secret that GitHub's webhook has")
    from githubkit.webhooks import verify

    body = await request.body()
    if not verify(secret.get_secret_value(), body, signature):
        raise HTTPException(401, "the signature is wrong: QC_WEBHOOK_SECRET and the webhook's secret must be the same")
    if event not in EVENTS:  # GitHub may send what nobody here has read the shape of
        return ignored(event)
    try:
        parsed = Event.model_validate_json(body)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    return await run_in_threadpool(request.app.state.webhook.handle, event, delivery, parsed)
