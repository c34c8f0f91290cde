"""Classifying real texts: review comments of OpenStack (Turzo et al., 2023), and issues (NLBSE'24).

`python -m benchmarks texts` takes half an hour on two cores, as the encoder is fine-tuned for every fold.
"""

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.measure import verdict

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "benchmarks"
COMMENTS = FOLDER / "review_comments_esem23.csv"
ISSUES = FOLDER / "nlbse24_issues_train.csv"
KINDS = ("linear", "fine_tuned")
Split = tuple[np.ndarray, np.ndarray]


def scores(x: np.ndarray, y: np.ndarray, splits: list[Split]) -> Iterator[tuple[str, np.ndarray]]:
    """Predicted classes of every row that some split tests, by name of the method."""
    from sklearn.linear_model import LogisticRegression

    from qc_assets.learning.text.embeddings import cached_encoder, configure_embeddings
    from qc_assets.learning.text.text_classifiers import fit_text_classifier
    from qc_assets.models.comment_category import SPEC
    from qc_assets.settings import load_settings

    settings = load_settings()
    configure_embeddings(settings.encoder, settings.embeddings_cache)
    vectors = cached_encoder().encode([str(body) for body in x[:, 0]])
    predicted = np.full(len(y), -1)
    for fit, test in splits:
        predicted[test] = LogisticRegression(max_iter=2_000).fit(vectors[fit], y[fit]).predict(vectors[test])
    yield "frozen embeddings and logistic regression", predicted
    defaults = {candidate.kind: candidate.defaults for candidate in SPEC.candidates}
    for kind in KINDS:
        predicted = np.full(len(y), -1)
        for fit, test in splits:
            model = fit_text_classifier(kind, defaults[kind], x[fit], y[fit], np.ones(len(fit)), seed=0, threads=None)
            predicted[test] = model.score(x[test]).argmax(axis=1)
        yield kind, predicted


def comments() -> None:
    from sklearn.model_selection import StratifiedKFold

    frame = pl.read_csv(COMMENTS).filter(pl.col("message").is_not_null())
    classes = sorted(frame["comment_group"].unique())
    y = np.array([float(classes.index(name)) for name in frame["comment_group"]])
    x = frame.select("message", "file_name").to_numpy().astype(object)
    splits = list(StratifiedKFold(10, shuffle=True, random_state=0).split(x, y))
    print(f"review comments: {len(y):,} in {len(classes)} groups, 10-fold; the paper's best: accuracy 0.593")
    for name, predicted in scores(x, y, splits):
        accuracy = float((predicted == y).mean())
        print(f"  {name}: accuracy {accuracy:.3f}", flush=True)
    print(verdict((1 - accuracy) / (1 - 0.62), 1.0, "1 - accuracy / 1 - 0.62"))


def issues() -> None:
    from sklearn.metrics import f1_score
    from sklearn.model_selection import StratifiedKFold

    frame = pl.read_csv(ISSUES)
    classes = sorted(frame["label"].unique())
    y = np.array([float(classes.index(name)) for name in frame["label"]])
    text = frame.select(pl.format("{}\n{}", pl.col("title"), pl.col("body").fill_null(""))).to_series()
    # The repository stands where a comment has its path.
    x = np.array([[body, repo] for body, repo in zip(text, frame["repo"], strict=True)], dtype=object)
    # Halves, stratified by repository and label; each is tested with what the other taught, a repository at a time.
    strata = (frame["repo"] + frame["label"]).to_numpy()
    halves = list(StratifiedKFold(2, shuffle=True, random_state=0).split(x, strata))
    repos = frame["repo"].to_numpy()
    alone = [(fit[repos[fit] == repo], test[repos[test] == repo]) for fit, test in halves for repo in np.unique(repos)]
    print("issues: macro F1 over 5 repositories; SetFit on twice as many issues, tested on others: 0.827")
    for arrangement, splits in (("a classifier for each repository", alone), ("one for all repositories", halves)):
        for name, predicted in scores(x, y, splits):
            each = [f1_score(y[repos == repo], predicted[repos == repo], average="macro") for repo in np.unique(repos)]
            print(f"  {arrangement}, {name}: {np.mean(each):.3f}", flush=True)


def main() -> None:
    if not COMMENTS.is_file():
        print(f"skipped: {COMMENTS} is not there")
        return
    started = time.perf_counter()
    comments()
    issues()
    print(f"{time.perf_counter() - started:.0f} s")
