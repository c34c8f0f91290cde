"""The code change of a pull request, on demand."""

from qc_assets.errors import QcError
from qc_assets.sources.github.client import Client


class DiffTooLongError(QcError):
    """A diff is longer than is wanted."""


def read_diff(client: Client, repo: str, number: int, *, limit: int) -> str:
    """A pull request's change as a unified diff.

    Args:
        client: who asks.
        repo: owner/name.
        number: of the pull request.
        limit: bytes; a longer diff is not read to its end.

    Raises:
        DiffTooLongError: if it is longer than `limit`.
        RequestError: if there is no such pull request, or GitHub cannot be reached; GitHub itself refuses (406)
            diffs of over 20,000 lines or 300 files.
    """
    text = client.text(f"/repos/{repo}/pulls/{number}", "application/vnd.github.diff", limit)
    if text is None:
        raise DiffTooLongError(
            f"the diff of {repo}#{number} is longer than {limit:,} bytes; raise QC_MAX_DIFF_BYTES to read it"
        )
    return text
