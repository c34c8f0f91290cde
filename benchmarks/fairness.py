"""A bias report of 100,000 test rows and 200 repositories: under 60 s and 4 GiB, intervals and mitigations included."""

import time
from datetime import timedelta

import numpy as np
import polars as pl

from benchmarks.measure import isolated, verdict
from benchmarks.sizes import sized

ROWS, REPOS = sized((100_000, 200), (400, 3))


def report() -> tuple[str, float]:
    """Train a quick p0 on rows of which 100,000 are tested, and report on it by repository."""
    from dataclasses import replace

    from qc_assets.fairness.audit import audit_groups
    from qc_assets.fairness.report import bias_page
    from qc_assets.fairness.subject import Subject
    from qc_assets.learning.task import dataset_of
    from qc_assets.learning.trained import Options
    from qc_assets.learning.training import train
    from qc_assets.models.p0 import SPEC
    from qc_assets.registry.lifecycle import bundle_of_training
    from qc_assets.settings import load_settings

    rng = np.random.default_rng(0)
    n = round(ROWS / 0.15)
    repo = rng.zipf(1.3, 4 * n)
    repo = repo[repo <= REPOS][:n]
    n = len(repo)
    lines, merged = rng.normal(4, 1, n), rng.poisson(3, n)
    start = np.datetime64("2022-01-01", "us")
    opened = start + (np.sort(rng.uniform(0, 700, n)) * 86_400e6).astype("timedelta64[us]")
    chance = 1 / (1 + np.exp(0.8 * (lines - 4) - 0.2 * np.log1p(merged) - 0.3 * np.sin(repo)))
    numbers = {name: rng.normal(size=n) for name in SPEC.features}
    levels = {name: rng.choice(list(known), n) for name, known in SPEC.categories.items()}
    frame = pl.DataFrame(numbers | levels).with_columns(
        repo_id=repo,
        number=np.arange(n),
        opened_at=opened,
        decided_at=opened + np.timedelta64(1, "h"),
        observed_until=pl.lit(start + np.timedelta64(800, "D")),
        log_lines=lines,
        author_prior_merged=merged,
        passed=rng.random(n) < chance,
        repo=pl.Series(repo).cast(pl.String),
    )
    spec = replace(SPEC, texts=(), maturity=timedelta(days=1))
    options = Options(quick=True, resamples=50, candidates=sized((), ("lightgbm",)))
    trained = train(spec, dataset_of(spec, frame), options)
    bundle = bundle_of_training(spec, trained, is_synthetic=True)
    subject = Subject(
        spec, 1, bundle, trained.data.frame, trained.data.x, trained.split.windows, trained.known, "", True
    )
    started = time.perf_counter()
    audited = audit_groups(subject, "repo", load_settings(_env_file=None))
    size = len(bias_page([audited]))
    seconds = time.perf_counter() - started
    assert audited.mitigations is not None
    tested, groups = len(trained.split.test), len(audited.analysis.counts)
    what = f"{tested:,} test rows, {groups} repositories, {len(audited.mitigations)} mitigations, page {size >> 10} KiB"
    return what, seconds


def planted() -> str:
    """The worlds of the tests: what a planted bias does, in how many it is found, and in how many fair ones any is."""
    from qc_assets.sources.demo.knobs import Bias
    from tests.fairness.test_fairness_planted import LOG_ODDS, SEEDS, flagged, world

    seeds = range(sized(SEEDS, 1))
    fair = [world(seed, None) for seed in seeds]
    harsh = [world(seed, Bias("newcomers", LOG_ODDS)) for seed in seeds]
    new, rate = pl.col("is_newcomer"), pl.col("passed").mean()
    before, after = (np.mean([demo.filter(new).select(rate).item() for demo in worlds]) for worlds in (fair, harsh))
    alarms = sum(bool(flagged(demo, "repo") | flagged(demo, "newcomer")) for demo in fair)
    flags = sum("newcomer" in flagged(demo, "newcomer") for demo in harsh)
    return (
        f"planted {LOG_ODDS} on the log-odds of newcomers ({100 * (after - before):+.0f} points of passing): "
        f"flagged in {flags} of {len(seeds)} worlds; any flag in {alarms} of {len(seeds)} fair ones"
    )


def main() -> None:
    print(isolated(planted)[0], flush=True)
    (what, seconds), _, mib = isolated(report)
    print(f"bias report of {what}: {seconds:.1f} s, peak with the training before it {mib:.0f} MiB", flush=True)
    print(verdict(seconds / 60, 1.0, "seconds / 60 s"))
    print(verdict(mib / 4096, 1.0, "peak / 4 GiB"), flush=True)
