"""The UIs of Dagster and MLflow behind the API's gate: they listen on Unix sockets, and ask nobody who he is."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

# What a page of theirs may load: a picture elsewhere, in a text of strangers, would tell who reads it.
_POLICY = "frame-ancestors 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; connect-src 'self'"
_OF_ONE_CONNECTION = {
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
    b"transfer-encoding", b"upgrade",
}  # fmt: skip
# The key is for the gate; who is behind a proxy is the gate's to say.
_KEPT = {b"authorization", b"x-api-key", b"cookie", b"origin", b"host", b"forwarded"}
# A page that something is put into is not the one that a browser has of it, nor as long, nor packed.
_OF_ANOTHER_PAGE = {b"accept-encoding", b"if-none-match", b"if-modified-since", b"range"}
_OF_ITS_BYTES = {b"content-length", b"content-encoding", b"etag", b"last-modified", b"accept-ranges"}
_ITSELF = b"http://localhost"
_TIMEOUT = httpx.Timeout(300, connect=10)


@dataclass(frozen=True)
class OtherUi:
    """One of them.

    Attributes:
        prefix: the path under which it is shown.
        methods: that it takes; others change what a page of ours does not change.
        json_only: the end of paths that take JSON by POST and nothing else.
        closed: parts of paths that nobody is let through to.
        remembers: what its page finds in a browser's storage, unless that browser has other values already. A name that
            its next version does not know changes nothing.
    """

    prefix: str
    methods: frozenset[str]
    json_only: str = ""
    closed: frozenset[str] = frozenset()
    remembers: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def first_script(self) -> bytes:
        """What its page runs before its own scripts."""
        values = f"{{...{json.dumps(dict(self.remembers))}, ...localStorage}}"
        return f"<script>try {{ Object.assign(localStorage, {values}) }} catch {{}}</script>".encode()

    def objection(self, method: str, path: str, headers: Mapping[bytes, bytes]) -> tuple[int, str] | None:
        """Status and reason if a request is not let through."""
        parts = path.removeprefix(self.prefix).strip("/").split("/")
        if ".." in parts or "\\" in path or "\0" in path:
            return 400, "the path leads elsewhere"
        if method not in self.methods:
            return 405, f"{self.prefix} takes {', '.join(sorted(self.methods))}"
        if self.closed.intersection(parts[:4]):  # further on it is a file's name
            return 403, "this part of it is closed"
        if self.json_only and self.json_only in parts:
            # It would run what stands in a query string or a form, which any page elsewhere can make a browser send.
            content_type = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
            if method != "POST" or content_type != b"application/json":
                return 405, f"{self.prefix}/{self.json_only} takes JSON by POST"
        return None


UIS = (
    OtherUi("/dagster", frozenset({"GET", "HEAD", "POST"}), json_only="graphql"),
    # Its assistant runs commands for whoever asks from this machine, as the gate does for all.
    OtherUi(
        "/mlflow",
        frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"}),
        closed=frozenset({"assistant", "gateway", "jobs", "mcp"}),
        remembers={
            # It opens in the view for language models, and with an assistant that is closed here.
            "mlflow.workflowType_v1": '"machine_learning"',
            "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
            "_mlflow_model_registry_promo_modal_dismissed_v1": "true",
            # What it says is not so: `qc_assets` turns telemetry off.
            "mlflow.telemetry.info.alert.dismissed_v1": "true",
        },
    ),
)


def ui_at(path: str) -> OtherUi | None:
    """The UI that is shown at a path."""
    return next((ui for ui in UIS if path == ui.prefix or path.startswith(f"{ui.prefix}/")), None)


class Forwarder:
    """Passes requests on to the UIs, and their answers back, without keeping either.

    Args:
        folder: of their sockets, named for their prefixes.
    """

    def __init__(self, folder: Path) -> None:
        self._clients = {
            # No certificates are read: nobody else can connect to the socket.
            ui: httpx.AsyncClient(
                transport=httpx.AsyncHTTPTransport(verify=False, uds=str(folder / f"{ui.prefix[1:]}.sock")),
                timeout=_TIMEOUT,
                verify=False,
            )
            for ui in UIS
        }

    async def __call__(self, ui: OtherUi, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        """Answer a request that the gate has let through.

        Raises:
            httpx.TransportError: if the UI is not there.
        """
        query = scope["query_string"]
        target = scope["raw_path"] + (b"?" + query if query else b"")
        is_page = bool(ui.remembers) and scope["path"] == f"{ui.prefix}/"
        kept_back = _OF_ONE_CONNECTION | _KEPT | (_OF_ANOTHER_PAGE if is_page else set())
        headers = [
            (name, value)
            for name, value in scope["headers"]
            if name not in kept_back and not name.startswith(b"x-forwarded-")
        ]
        has_body = any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"])
        request = httpx.Request(
            scope["method"],
            httpx.URL(_ITSELF.decode(), raw_path=target),
            headers=[(b"host", b"localhost"), *headers],
            content=_body(receive) if has_body else None,
        )
        response = await self._clients[ui].send(request, stream=True)
        try:
            kept = [
                # It knows itself by the name that it was asked by.
                (name.lower(), value.removeprefix(_ITSELF) if name.lower() == b"location" else value)
                for name, value in response.headers.raw
                if name.lower() not in _OF_ONE_CONNECTION
            ]
            kept.append((b"content-security-policy", _POLICY.encode()))
            if is_page:
                page = (await response.aread()).replace(b"<head>", b"<head>" + ui.first_script, 1)
                kept = [(name, value) for name, value in kept if name not in _OF_ITS_BYTES]
                await send({"type": "http.response.start", "status": response.status_code, "headers": kept})
                await send({"type": "http.response.body", "body": page})
                return
            await send({"type": "http.response.start", "status": response.status_code, "headers": kept})
            async for part in response.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        finally:
            await response.aclose()


async def _body(receive: Any) -> AsyncIterator[bytes]:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise httpx.WriteError("the client went away")
        yield message.get("body", b"")
        more = message.get("more_body", False)
