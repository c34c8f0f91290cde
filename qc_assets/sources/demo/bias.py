"""A known bias that the demo can be given, so that bias reports can be seen to find it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Bias:
    """Harsher (or milder) judgement of one group's pull requests, for the same quality.

    Attributes:
        group: ``newcomers`` (authors who have opened none in the repository before), or a repository's name.
        log_odds: what is added to their log-odds of passing; negative is harsher.
    """

    group: str
    log_odds: float

    @classmethod
    def parse(cls, text: str) -> "Bias | None":
        """Read ``GROUP:LOG_ODDS``, such as ``newcomers:-0.8``; None if it is empty.

        Raises:
            ValueError: if it is anything else.
        """
        if not text:
            return None
        group, _, size = text.rpartition(":")
        if not (group == "newcomers" or "/" in group):
            raise ValueError(f"{text!r}: write newcomers or owner/name, a colon, and log-odds, as in newcomers:-0.8")
        return cls(group, float(size))
