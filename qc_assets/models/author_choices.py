"""What the author of a pull request or an issue decides on before it is opened, and how that can be gamed."""

from qc_assets.learning.spec import Change

ISSUE = {
    "title_length": Change("a title of {} characters", "padding"),
    "body_length": Change("a description of {} characters", "padding"),
    "link_count": Change("{} links in the description", "links that lead nowhere"),
    "checklist_items": Change("{} checklist items in the description", "boxes that nobody needs"),
    "code_blocks": Change("{} code blocks in the description", "padding"),
}
PULL_REQUEST = ISSUE | {
    "log_lines": Change("a change of {} lines", "splitting a change", is_log=True),
    "files_changed": Change("a change of {} files", "splitting a change"),
    "commits": Change("{} commits", "joining or splitting commits"),
}
