"""What is read out of an item's answer: its connections' nodes, its timeline, its texts."""

from collections.abc import Mapping
from typing import Any

MERGES = ("Merge branch ", "Merge remote-tracking branch ", "Merge pull request ", "Merge commit ", "Merge tag ")
"""How the headlines of commits begin that merge other people's lines into a branch."""


def nodes_of(item: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    """The nodes of a connection, each once; a connection that could not be read has none."""
    nodes = (item.get(name) or {}).get("nodes") or ()
    return list({node["id"]: node for node in nodes if node}.values())


def timeline_of(item: Mapping[str, Any], *kinds: str) -> list[Mapping[str, Any]]:
    """The events of an item in order of time; with `kinds`, only those of these types."""
    events = [event for event in nodes_of(item, "timelineItems") if "createdAt" in event]
    chosen = [event for event in events if not kinds or event["__typename"] in kinds]
    return sorted(chosen, key=lambda event: event["createdAt"])


def clean(text: str | None) -> str | None:
    """Text that every store takes: NUL and lone halves of surrogate pairs become U+FFFD."""
    if text is None:
        return None
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
