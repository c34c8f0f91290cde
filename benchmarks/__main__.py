"""`make bench`: run all benchmarks, or those named: `python -m benchmarks archive features startup`.

`python -m benchmarks real FOLDER...` judges these histories; what is named behind `real`, `alternatives`, `facts`,
`prior`, `responses` and `uncertainty` are folders.
`python -m benchmarks soak [DAYS]` takes as long as a life does, `heavy_day [HOURS]` much disk, `scale` does what `lake`
does with more writers: these are run when they are named only. With QC_BENCH_SMALL=1 those that make their own data
make little of it, to see that they run.
What was measured is kept in `benchmarks/results.json`; `python -m benchmarks compare OLD [NEW]` says what got worse
beyond the noise, each a file like that or a commit that has one.
"""

import importlib
import sys

from benchmarks import results

BENCHMARKS = (
    *("startup", "alternatives", "archive", "features", "pipeline", "github", "growth", "heavy_day", "history", "lake"),
    *("merge", "training", "embeddings", "facts", "fairness", "load", "critique", "origins", "prior", "real"),
    *("responses", "scale", "serving", "soak", "texts", "uncertainty"),
)
_ON_DEMAND = ("soak", "heavy_day", "scale")
_WITH_FOLDERS = ("alternatives", "facts", "heavy_day", "prior", "real", "responses", "scale", "soak", "uncertainty")


def main() -> None:
    if sys.argv[1:2] == ["compare"]:
        if len(sys.argv) not in (3, 4):
            sys.exit("python -m benchmarks compare OLD [NEW]")
        sys.exit(results.print_changes(*sys.argv[2:]))
    chosen = sys.argv[1:] or [name for name in BENCHMARKS if name not in _ON_DEMAND]
    if chosen[0] in _WITH_FOLDERS:
        chosen = chosen[:1]
    unknown = [name for name in chosen if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    for name in chosen:
        print(f"\n== {name}", flush=True)
        importlib.import_module(f"benchmarks.{name}").main()
        results.keep(name)


if __name__ == "__main__":  # a process that a benchmark spawns imports this again
    main()
