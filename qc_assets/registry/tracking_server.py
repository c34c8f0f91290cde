"""An MLflow server that may be away: asked with a short wait before each use, so that nobody waits for minutes."""

import os
import time

from qc_assets.errors import QcError

_PATIENCE_S = 3.0
_FRESH_S = 3.0
# MLflow's own would wait for four minutes; whoever sets them means it.
_BOUNDS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "20", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
_asked: dict[str, tuple[float, str]] = {}


class TrackingServerAwayError(QcError):
    """The MLflow server does not answer."""


def refuse_if_away(uri: str) -> None:
    """Ask the server of a tracking URI for a sign of life; nothing is done for other URIs.

    Raises:
        TrackingServerAwayError: after a few seconds, if it gives none.
    """
    if not uri.startswith(("http://", "https://")):
        return
    for name, value in _BOUNDS.items():
        os.environ.setdefault(name, value)
    asked_at, trouble = _asked.get(uri, (-_FRESH_S, ""))
    if time.monotonic() - asked_at >= _FRESH_S:
        trouble = _trouble(uri)
        _asked[uri] = time.monotonic(), trouble
    if trouble:
        raise TrackingServerAwayError(
            f"the MLflow server at {uri} does not answer ({trouble}): start it, or correct QC_MLFLOW_TRACKING_URI"
        )


def _trouble(uri: str) -> str:
    """Why there is no answer; empty if there is one, whatever it says."""
    from mlflow.exceptions import MlflowException
    from mlflow.tracking._tracking_service.utils import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    try:
        # Through MLflow, for its credentials, certificates and proxies.
        answer = http_request(
            get_default_host_creds(uri), "/health", "GET", timeout=_PATIENCE_S, max_retries=0, raise_on_status=False
        )
    except MlflowException as error:
        return type(error.__cause__ or error.__context__ or error).__name__
    return f"status {answer.status_code}" if answer.status_code in (502, 503, 504) else ""
