"""A server that speaks as much of OpenAI's protocol as summaries need, and answers as it is told."""

import asyncio
import json
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from tests.local_app import listening, url_of


class FakeEndpoint:
    """The server; a context manager.

    Args:
        latency_s: seconds until each answer.

    Attributes:
        url: its base URL.
        seen: requests, as they came.
        answers: of the next requests: a status, a text, or a document; then a sound summary each.
        counts_tokens: whether answers say what they used.
    """

    def __init__(self, latency_s: float = 0.0) -> None:
        self.seen: list[dict[str, Any]] = []
        self.answers: list[Any] = []
        self.counts_tokens = True
        app = FastAPI()

        @app.post("/v1/chat/completions")
        async def complete(request: Request) -> JSONResponse:
            self.seen.append(await request.json())
            answer = self.answers.pop(0) if self.answers else {"summary": "A lock is missing.", "outcome": "changed"}
            await asyncio.sleep(latency_s)
            if isinstance(answer, int):
                document = {"error": {"message": "not now"}}
                return JSONResponse(document, status_code=answer, headers={"retry-after-ms": "10"})
            content = answer if isinstance(answer, str) else json.dumps(answer)
            message = {"role": "assistant", "content": content}
            usage = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
            document = {"id": "x", "object": "chat.completion", "created": 0, "model": "m"}
            document |= {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
            return JSONResponse(document | ({"usage": usage} if self.counts_tokens else {}))

        self._listening = listening(app)

    def __enter__(self) -> "FakeEndpoint":
        self.url = f"{url_of(self._listening.__enter__())}/v1"
        return self

    def __exit__(self, *error: Any) -> None:
        self._listening.__exit__(*error)
