"""Which review comments teach something: rules by form, likeness to exemplars, and no near-duplicates."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from qc_assets.critique import rules
from qc_assets.critique.exemplars import BAD, GOOD
from qc_assets.critique.prose import parts
from qc_assets.settings import Settings

Encode = Callable[[Sequence[str]], np.ndarray]
REASONS = rules.REASONS | {
    "unlike_critique": "it is more like comments that teach nothing",
    "duplicate": "an earlier comment says the same",
}
_VERSION = 2  # raise it when the rules change
_NEAREST = 3
_BLOCK = 2_048


@dataclass(frozen=True)
class CommentFilter:
    """The filter, with its thresholds.

    Attributes:
        encode: texts to unit vectors, (n, dimension); the shared cached encoder.
        min_margin: least likeness to good exemplars beyond that to bad ones.
        encoder: name of the encoder, for the version.
        duplicate_cosine: from this cosine on, a later comment of the same repository is a near-duplicate.
    """

    encode: Encode
    min_margin: float = -0.1
    duplicate_cosine: float = 0.95
    encoder: str = ""

    @classmethod
    def from_settings(cls, settings: Settings) -> "CommentFilter":
        """The filter of QC_CRITIQUE_* and QC_ENCODER."""
        from qc_assets.learning.text.embeddings import cached_encoder

        return cls(
            cached_encoder(settings.encoder, settings.embeddings_cache).encode,
            settings.critique_min_margin,
            settings.critique_duplicate_cosine,
            settings.encoder,
        )

    @property
    def version(self) -> str:
        """Changes with rules, exemplars and thresholds, so that what was decided otherwise is decided again."""
        ingredients = repr((_VERSION, GOOD, BAD, self.min_margin, self.duplicate_cosine, _NEAREST, self.encoder))
        return hashlib.sha256(ingredients.encode()).hexdigest()[:16]

    def judge(self, comments: pl.DataFrame) -> pl.DataFrame:
        """Decide on comments.

        Args:
            comments: comment_id, repo_id, body, author_is_bot, is_pr_author, created_at.

        Returns:
            comment_id, reason (NULL for those that are kept), margin (NULL where a rule decided), duplicate_of; a row
            a comment, in order of creation.
        """
        rows = comments.sort("created_at", "comment_id")
        reasons = [
            rules.rejected(body, is_bot=is_bot, is_own=is_own)
            for body, is_bot, is_own in rows.select("body", "author_is_bot", "is_pr_author").iter_rows()
        ]
        margins = np.full(len(rows), np.nan)
        duplicate_of: list[int | None] = [None] * len(rows)
        undecided = [place for place, reason in enumerate(reasons) if reason is None]
        if undecided:
            comment_parts = [parts(rows["body"][place]) for place in undecided]
            bodies = rows["body"][undecided]
            vectors = self.encode([comment.prose or body for comment, body in zip(comment_parts, bodies, strict=True)])
            margins[undecided] = self.margins(vectors)
            for place, comment in zip(undecided, comment_parts, strict=True):
                if margins[place] < self.min_margin and not comment.has_suggestion:
                    reasons[place] = "unlike_critique"
            kept_rows = np.array([place for place in undecided if reasons[place] is None], dtype=np.int64)
            where = {place: row for row, place in enumerate(undecided)}
            chosen = [where[place] for place in kept_rows.tolist()]
            originals = near_duplicates(
                vectors[chosen],
                rows["repo_id"].to_numpy()[kept_rows],
                self.duplicate_cosine,
                [comment_parts[row].code for row in chosen],
            )
            for place, original in zip(kept_rows.tolist(), originals.tolist(), strict=True):
                if original >= 0:
                    reasons[place] = "duplicate"
                    duplicate_of[place] = rows["comment_id"][int(kept_rows[original])]
        return rows.select("comment_id").with_columns(
            reason=pl.Series(reasons, dtype=pl.String),
            margin=pl.Series(margins).fill_nan(None),
            duplicate_of=pl.Series(duplicate_of, dtype=pl.Int64),
        )

    def margins(self, vectors: np.ndarray) -> np.ndarray:
        """Mean cosine to the three nearest good exemplars, less that to the three nearest bad ones; (n,)."""
        good, bad = self.encode(GOOD), self.encode(BAD)
        return _mean_of_nearest(vectors @ good.T) - _mean_of_nearest(vectors @ bad.T)


def _mean_of_nearest(cosines: np.ndarray) -> np.ndarray:
    return np.sort(cosines, axis=1)[:, -_NEAREST:].mean(axis=1)


def near_duplicates(
    vectors: np.ndarray, groups: np.ndarray, limit: float, codes: Sequence[str | None] = ()
) -> np.ndarray:
    """Which earlier text of its group each text repeats.

    Args:
        vectors: unit vectors in order of time, (n, dimension).
        groups: (n,), such as repositories.
        limit: cosine from which on two are the same.
        codes: code that each holds, None for none, (n,): where two hold some, it decides, and words do not. Of two
            deletions, which hold none, words decide.

    Returns:
        Row of the first earlier text that is no duplicate itself, or -1; (n,).
    """
    repeated = np.full(len(vectors), -1, dtype=np.int64)
    numbers: dict[str | None, int] = {None: -1, "": 0}
    code = np.array([numbers.setdefault(code, len(numbers)) for code in codes or [None] * len(vectors)], dtype=np.int64)

    def likeness(rows: Sequence[int] | np.ndarray, others: np.ndarray) -> np.ndarray:
        row_codes, other_codes = code[rows, None], code[None, others]
        by_code = (row_codes >= 0) & (other_codes >= 0) & (row_codes + other_codes > 0)
        return np.where(by_code, row_codes == other_codes, vectors[rows] @ vectors[others].T)

    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        originals: list[int] = []
        for start in range(0, len(rows), _BLOCK):
            block = rows[start : start + _BLOCK]
            earlier = likeness(originals, block) if originals else np.empty((0, len(block)))
            within = likeness(block, block)
            fresh: list[int] = []
            for column, row in enumerate(block):
                match = np.flatnonzero(earlier[:, column] >= limit)
                if len(match):
                    repeated[row] = originals[match[0]]
                    continue
                alike = [place for place in fresh if within[place, column] >= limit]
                if alike:
                    repeated[row] = block[alike[0]]
                else:
                    fresh.append(column)
            originals += block[fresh].tolist()
    return repeated
