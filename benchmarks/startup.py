"""How long the code location takes to load beyond `import dagster`, and `qc --help`. Limits: 2 s and .3 s."""

import subprocess
import sys
import time

from benchmarks.measure import verdict

_CODE = """
import time
start = time.perf_counter()
import dagster
dagster_s = time.perf_counter() - start
from qc_assets.definitions import defs
defs.get_repository_def()
print(dagster_s, time.perf_counter() - start - dagster_s)
"""


def main() -> None:
    runs = [
        tuple(
            map(
                float,
                subprocess.run(
                    [sys.executable, "-c", _CODE], capture_output=True, text=True, check=True
                ).stdout.split(),
            )
        )
        for _ in range(5)
    ]
    dagster_s, ours_s = (sorted(column)[2] for column in zip(*runs, strict=True))
    print(f"import dagster {dagster_s:.2f} s; our definitions {ours_s:.2f} s more (medians of 5)")
    print(verdict(ours_s / 2.0, 1.0, "seconds beyond import dagster / 2 s"))
    helps = []
    for _ in range(5):
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "qc_assets.cli", "--help"], capture_output=True, check=True)
        helps.append((time.perf_counter() - start) / 0.3)
    print(verdict(None, 1.0, "seconds of `qc --help` / 0.3 s", samples=helps))
