"""/docs and /redoc from files of ours: they need no internet, and may do no more than the page at /."""

from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from qc_assets.errors import QcError

# What a page of this server may do: show itself, run this server's scripts, and ask this server.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_FILES = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "redoc.standalone.js": "text/javascript",
}
_STARTS = {
    "docs.js": 'SwaggerUIBundle({url: "openapi.json", dom_id: "#docs", deepLinking: true});',
    # Its search would run in a script that it writes itself.
    "redoc.js": 'Redoc.init("openapi.json", {disableSearch: true}, document.getElementById("docs"));',
}
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>qc-assets API</title><link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/files/swagger-ui.css"></head>
<body><div id="docs"></div><script src="docs/files/{library}"></script><script src="docs/files/{start}"></script></body>
</html>
"""
router = APIRouter(include_in_schema=False)


@router.get("/docs")
def swagger() -> HTMLResponse:
    """The API, to try out."""
    return _page("swagger-ui-bundle.js", "docs.js")


@router.get("/redoc")
def redoc() -> HTMLResponse:
    """The API, to read."""
    return _page("redoc.standalone.js", "redoc.js")


@router.get("/docs/files/{name}")
def file_of_docs(name: str) -> Response:
    """A file of theirs; other names are not found."""
    if name in _STARTS:
        return Response(_STARTS[name], media_type="text/javascript")
    if name not in _FILES:
        return Response(status_code=404)
    return Response((_folder() / name).read_bytes(), media_type=_FILES[name])


def _page(library: str, start: str) -> HTMLResponse:
    return HTMLResponse(_PAGE.format(library=library, start=start), headers={"content-security-policy": POLICY})


def _folder() -> Path:
    # Its files only: importing it is not needed for them.
    package = find_spec("fastapi_offline")
    if package is None or package.submodule_search_locations is None:
        raise QcError("fastapi-offline is not installed, which has the files of /docs: pip install fastapi-offline")
    return Path(package.submodule_search_locations[0]) / "static"
