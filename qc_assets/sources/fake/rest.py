"""What the fake GitHub answers to the REST API: the diff of a pull request, and the files between two commits."""

import json

from qc_assets.sources.fake.fake_world import World

_DIFF = "diff --git a/src/a.py b/src/a.py\n--- a/src/a.py\n+++ b/src/a.py\n@@ -1 +1 @@\n-a\n+b\n"
_MOST_FILES = 300  # GitHub shows no more of a comparison


def rest_answer(world: World, path: str) -> bytes | None:
    """The body of `/repos/OWNER/NAME/pulls/NUMBER` or `/repos/OWNER/NAME/compare/BASE...HEAD`; None if there is none.

    Args:
        world: what there is.
        path: with its query, which changes nothing.
    """
    pieces = path.partition("?")[0].strip("/").split("/")
    repo = world.repos.get("/".join(pieces[1:3]).lower()) if len(pieces) == 5 else None
    if repo is None:
        return None
    if pieces[3] == "compare":
        base, _, head = pieces[4].partition("...")
        files = world.compared(base, head)
        return None if files is None else json.dumps({"files": files[:_MOST_FILES]}).encode()
    matching = [pr for pr in repo["_pullRequests"] if str(pr["number"]) == pieces[4]]
    return matching[0].get("_diff", _DIFF).encode() if matching else None
