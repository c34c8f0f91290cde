"""How long the code location takes to load beyond `import dagster`, and `qc --help`. Aims: .8 s and .3 s."""

import os
import subprocess
import sys
import time
from pathlib import Path

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
    _python("-c", _CODE)  # compiled once, as wherever it is installed
    runs = [tuple(map(float, _python("-c", _CODE).split())) for _ in range(5)]
    dagster_s, ours_s = (sorted(column)[2] for column in zip(*runs, strict=True))
    print(f"import dagster {dagster_s:.2f} s; our definitions {ours_s:.2f} s more (medians of 5)")
    print(verdict(ours_s / 0.8, 1.0, "seconds beyond import dagster / 0.8 s"))
    helps = []
    for _ in range(5):
        start = time.perf_counter()
        _output(str(Path(sys.executable).with_name("qc")), "--help")
        helps.append((time.perf_counter() - start) / 0.3)
    print(verdict(None, 1.0, "seconds of `qc --help` / 0.3 s", samples=helps))


def _python(*arguments: str) -> str:
    return _output(sys.executable, *arguments)


def _output(*command: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
