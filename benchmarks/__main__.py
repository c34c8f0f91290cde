"""`make bench`: run all benchmarks, or those named: `python -m benchmarks archive features startup`.

`python -m benchmarks real FOLDER...` judges these histories; what is named behind `real`, `facts`, `responses` and
`uncertainty` are folders.
`python -m benchmarks soak [DAYS]` takes as long as a life does, `heavy_day [HOURS]` much disk: both are run when they
are named only. With QC_BENCH_SMALL=1 those that make their own data make little of it, to see that they run.
"""

import sys

from benchmarks import (
    archive,
    critique,
    embeddings,
    facts,
    fairness,
    features,
    github,
    growth,
    heavy_day,
    history,
    lake,
    load,
    merge,
    origins,
    pipeline,
    real,
    responses,
    serving,
    soak,
    startup,
    texts,
    training,
    uncertainty,
)

BENCHMARKS = {
    "startup": startup.main,
    "archive": archive.main,
    "features": features.main,
    "pipeline": pipeline.main,
    "github": github.main,
    "growth": growth.main,
    "heavy_day": heavy_day.main,
    "history": history.main,
    "lake": lake.main,
    "merge": merge.main,
    "training": training.main,
    "embeddings": embeddings.main,
    "facts": facts.main,
    "fairness": fairness.main,
    "load": load.main,
    "critique": critique.main,
    "origins": origins.main,
    "real": real.main,
    "responses": responses.main,
    "serving": serving.main,
    "soak": soak.main,
    "texts": texts.main,
    "uncertainty": uncertainty.main,
}


def main() -> None:
    chosen = sys.argv[1:] or [name for name in BENCHMARKS if name not in ("soak", "heavy_day")]
    if chosen[0] in ("facts", "heavy_day", "real", "responses", "soak", "uncertainty"):
        chosen = chosen[:1]
    unknown = [name for name in chosen if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    for name in chosen:
        print(f"\n== {name}", flush=True)
        BENCHMARKS[name]()


main()
