"""The API: champions behind HTTP, as `qc serve` runs it."""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import JSONResponse
from fastapi.security import APIKeyHeader
from starlette.concurrency import run_in_threadpool

from qc_assets import __version__
from qc_assets.errors import QcError, WarehouseBusyError, WarehouseMissingError
from qc_assets.serving import (
    api_docs,
    checking,
    feedback_page,
    model_routes,
    page,
    payout_routes,
    report_route,
    routes,
    webhook_route,
)
from qc_assets.serving.callers import ForbiddenError
from qc_assets.serving.cashier import PayoutRefusedError
from qc_assets.serving.champions import NoChampionError
from qc_assets.serving.checking import Checker
from qc_assets.serving.feedback import ConflictError, UnknownTaskError
from qc_assets.serving.guard import RequestGuard
from qc_assets.serving.journal import JournalFullError
from qc_assets.serving.knowledge import NotReadyError
from qc_assets.serving.notes import Notes, NotShownError
from qc_assets.serving.prometheus import Metrics
from qc_assets.serving.service import Serving
from qc_assets.serving.webhook import Webhook
from qc_assets.settings import Settings
from qc_assets.shared_database import AlreadyWrittenError, SharedDatabaseError
from qc_assets.sources.github.posting import PostingError

# Their order is that of OpenAPI's document; of two routes that fit a path the first answers.
_PARTS = (routes, model_routes, payout_routes, webhook_route, checking, feedback_page, page, report_route, api_docs)
# After a reading that failed, such as of a busy warehouse.
_SOON_S = 15.0
# What may be over in a moment.
_SOON_BETTER, _RETRY_S = (NotReadyError, JournalFullError, WarehouseBusyError), 5
log = logging.getLogger(__name__)
_STATUS: dict[type[Exception], int] = {
    NoChampionError: 503,
    NotReadyError: 503,
    JournalFullError: 503,
    WarehouseBusyError: 503,
    WarehouseMissingError: 503,
    sqlite3.Error: 503,
    AlreadyWrittenError: 409,
    SharedDatabaseError: 503,
    ForbiddenError: 403,
    NotShownError: 409,
    PostingError: 503,
    PayoutRefusedError: 409,
    ConflictError: 409,
    UnknownTaskError: 404,
    QcError: 400,
}


def create_app(settings: Settings, sockets: Path | None = None, *, starts_at_once: bool = False) -> FastAPI:
    """The application; champions and what the warehouse knows are loaded when it starts, and again when they change.

    Args:
        settings: everything.
        sockets: folder of the sockets of the UIs of Dagster and MLflow, which are shown under /dagster and /mlflow.
        starts_at_once: take requests before all is loaded; those that need it wait, see `RequestGuard`.
    """
    serving = Serving(settings)
    metrics = Metrics(serving)

    has_loaded = asyncio.Event()

    async def load() -> None:
        try:
            await run_in_threadpool(serving.refresh_champions)
            await run_in_threadpool(serving.refresh_knowledge)
        finally:  # what could not be loaded is tried again, and meanwhile says so
            serving.is_starting = False
            has_loaded.set()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        notes = Notes(settings)
        app.state.webhook = Webhook(serving, notes)
        app.state.checker = Checker(serving, app.state.webhook, notes)
        serving.is_starting = starts_at_once
        starting = asyncio.create_task(load())
        if not starts_at_once:
            await starting
        notes.start()

        def until_next_reading() -> float:
            return min(_SOON_S, settings.history_refresh_s) if serving.why_no_knowledge else settings.history_refresh_s

        tasks = [
            starting,
            asyncio.create_task(_every(lambda: settings.champion_refresh_s, serving.refresh_champions, has_loaded)),
            asyncio.create_task(_every(until_next_reading, serving.refresh_knowledge, has_loaded)),
        ]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await run_in_threadpool(notes.close)
        app.state.webhook.close()
        await run_in_threadpool(serving.close)

    app = FastAPI(
        title="qc-assets",
        summary="p0 and its sisters: calibrated predictions on pull requests, issues and review comments.",
        version=__version__,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        dependencies=[Security(APIKeyHeader(name="X-API-Key", auto_error=False))],
    )
    app.state.serving, app.state.metrics = serving, metrics
    app.add_middleware(RequestGuard, settings=settings, metrics=metrics, sockets=sockets, has_loaded=has_loaded)
    if settings.api_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.api_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["X-API-Key", "Authorization", "Content-Type"],
        )
    _explain_errors(app)
    for part in _PARTS:
        app.include_router(part.router)
    return app


async def _every(seconds: Callable[[], float], refresh: Callable[[], object], has_loaded: asyncio.Event) -> None:
    await has_loaded.wait()  # what is known is read once champions have said what they want
    while True:
        await asyncio.sleep(seconds())
        try:
            await run_in_threadpool(refresh)
        except Exception:
            log.exception("%s failed; what was loaded goes on serving", refresh.__name__)


def _explain_errors(app: FastAPI) -> None:
    async def expected(request: Request, error: Exception) -> JSONResponse:
        status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
        headers = {"Retry-After": str(_RETRY_S)} if isinstance(error, _SOON_BETTER) else {}
        return JSONResponse({"detail": str(error), **getattr(error, "more", {})}, status_code=status, headers=headers)

    async def invalid(request: Request, error: Exception) -> JSONResponse:
        # Without the input: it may hold what JSON cannot say, such as NaN, and what a log should not.
        assert isinstance(error, RequestValidationError)
        fields: list[dict[str, Any]] = [
            {"loc": [_plain(part) for part in wrong["loc"]], "msg": _plain(wrong["msg"]), "type": wrong["type"]}
            for wrong in error.errors()[:100]
        ]
        return JSONResponse({"detail": fields}, status_code=422)

    for kind in _STATUS:
        app.add_exception_handler(kind, expected)
    app.add_exception_handler(RequestValidationError, invalid)


def _plain(part: str | int) -> str | int:
    return part.encode("utf-8", "backslashreplace").decode() if isinstance(part, str) else part
