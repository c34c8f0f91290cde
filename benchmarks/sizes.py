"""How large the work of a benchmark is: what is measured, or next to nothing, to see that it runs at all."""

import os
from typing import TypeVar

_Size = TypeVar("_Size")


def sized(full: _Size, small: _Size) -> _Size:
    """`full`, or `small` where QC_BENCH_SMALL is set; the processes of a benchmark inherit that."""
    return small if os.environ.get("QC_BENCH_SMALL") else full
