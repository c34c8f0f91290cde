"""What a model would say of an item whose author had done something as is usual."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from qc_assets.learning.spec import Change


@dataclass(frozen=True)
class WhatIf:
    """An item with one feature changed.

    Attributes:
        feature: what is changed.
        value: to what, as the model has it.
        words: the item as it would be.
    """

    feature: str
    value: float
    words: str


def usual_changes(changes: Mapping[str, Change], item: Mapping[str, Any], background: pl.DataFrame) -> list[WhatIf]:
    """For each feature that the author decides on, the value that is usual, where the item's is another.

    The usual value is the median of what is known, rounded to two digits. It is no advice: nothing is searched for.

    Args:
        changes: of the model's spec.
        item: features by name; what nobody knows of it is not changed.
        background: rows of other items with the feature columns.
    """
    usual = []
    for feature, change in changes.items():
        own = item.get(feature)
        typical = background[feature].cast(pl.Float64).median() if feature in background.columns else None
        if own is None or not isinstance(typical, float):
            continue
        from_feature, to_feature = (np.expm1, np.log1p) if change.is_log else (float, float)
        shown = round(float(f"{from_feature(typical):.2g}"))
        if shown != round(float(f"{from_feature(own):.2g}")):
            value = float(to_feature(shown))
            usual.append(WhatIf(feature, value, change.of(value)))
    return usual
