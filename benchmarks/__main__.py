"""`make bench`: run all benchmarks, or those named: `python -m benchmarks archive features startup`.

`python -m benchmarks real FOLDER...` judges these histories; what is named behind `real` and `uncertainty` are folders.
"""

import sys

from benchmarks import (
    archive,
    critique,
    embeddings,
    fairness,
    features,
    github,
    history,
    load,
    merge,
    pipeline,
    real,
    serving,
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
    "history": history.main,
    "merge": merge.main,
    "training": training.main,
    "embeddings": embeddings.main,
    "fairness": fairness.main,
    "load": load.main,
    "critique": critique.main,
    "real": real.main,
    "serving": serving.main,
    "texts": texts.main,
    "uncertainty": uncertainty.main,
}


def main() -> None:
    chosen = sys.argv[1:2] if sys.argv[1:2] in (["real"], ["uncertainty"]) else sys.argv[1:] or list(BENCHMARKS)
    unknown = [name for name in chosen if name not in BENCHMARKS]
    if unknown:
        sys.exit(f"no benchmark {unknown[0]}; there are {', '.join(BENCHMARKS)}")
    for name in chosen:
        print(f"\n== {name}", flush=True)
        BENCHMARKS[name]()


main()
