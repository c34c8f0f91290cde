"""`GET /report`: the state of everything as a page."""

from functools import lru_cache

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from qc_assets.monitoring.state_report import REPORT_POLICY, state_report
from qc_assets.serving.service import Serving
from qc_assets.store.warehouse import Warehouse

router = APIRouter(include_in_schema=False)


@router.get("/report", response_class=HTMLResponse)
def show_state(request: Request) -> HTMLResponse:
    """What `qc report` writes, as of the warehouse's last change."""
    serving: Serving = request.app.state.serving
    page = _page(serving.store, serving.store.engine.stamp())
    return HTMLResponse(page, headers={"content-security-policy": REPORT_POLICY})


@lru_cache(maxsize=1)
def _page(store: Warehouse, changed: tuple[int, ...]) -> str:
    return state_report(store)
