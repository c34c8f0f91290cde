"""POST /webhook/github."""

import hashlib
import hmac
from typing import Annotated

from fastapi import APIRouter, Header, HTTPException, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from qc_assets.serving.github_payloads import payload_of, read_event
from qc_assets.serving.model_routes import ERRORS, UNKNOWN
from qc_assets.serving.webhook import EVENTS, WebhookAnswer, ignored

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
            },
            "application/x-www-form-urlencoded": {
                "schema": {"type": "object", "properties": {"payload": {"type": "string"}}}
            },
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
    """p0 when a pull request is opened or ready for review; its outcome at the first decisive review or the closing.

    JSON or a form with a field payload. What a delivery shows of a pull request is kept as a fact.
    """
    serving = request.app.state.serving
    secret = serving.settings.webhook_secret
    if secret is None:
        raise HTTPException(404, "the webhook is off: set QC_WEBHOOK_SECRET to the secret that GitHub's webhook has")
    from githubkit.webhooks import sign

    body = await request.body()
    expected = sign(secret.get_secret_value(), body, method="sha256")
    # Headers may hold any byte, and sha1 is no proof any more.
    if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "surrogateescape")):
        raise HTTPException(401, "the signature is wrong: QC_WEBHOOK_SECRET and the webhook's secret must be the same")
    if event not in EVENTS:  # GitHub may send what nobody here has read the shape of
        return ignored(event)
    try:
        payload = payload_of(request.headers.get("content-type", ""), body)
        parsed = await run_in_threadpool(read_event, payload)
    except ValidationError as error:
        raise RequestValidationError(error.errors()) from error
    except ValueError as error:
        raise HTTPException(422, str(error)) from error
    content = hashlib.sha256(payload).hexdigest()
    return await run_in_threadpool(request.app.state.webhook.handle, event, delivery, content, parsed)
