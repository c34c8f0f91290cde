"""comment_category: labels from files and feedback, embeddings, classifiers of texts."""

from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from qc_assets.errors import QcError
from qc_assets.features import labels
from qc_assets.features.model_rows import model_rows
from qc_assets.learning import training
from qc_assets.learning.bundle import Bundle
from qc_assets.learning.metrics.category_metrics import CategoryMetrics
from qc_assets.learning.task import dataset_of, labelled, task_of
from qc_assets.learning.task.category import Temperature
from qc_assets.learning.text.embeddings import DEFAULT_ENCODER, CachedEncoder, Encoder, encoder_folder
from qc_assets.learning.text.text_classifiers import fit_text_classifier, load_text_classifier
from qc_assets.models.comment_category import CATEGORIES, SPEC
from qc_assets.sources.demo.comments import review_comments
from qc_assets.store.warehouse import Warehouse
from tests import histories

NOW = datetime(2026, 1, 1)


def comments(n: int, seed: int = 0) -> pl.DataFrame:
    """Rows of features.comments with their true categories."""
    texts, truth = review_comments(np.random.default_rng(seed), n)
    opened = np.datetime64("2025-01-01", "us") + np.arange(n) * np.timedelta64(3_600_000_000, "us")
    return pl.DataFrame(
        {
            "repo_id": np.ones(n, dtype=np.int64),
            "number": np.arange(n) // 3,
            "comment_id": np.arange(n) + 1,
            "opened_at": opened,
            "body": pl.Series(texts.tolist()),
            "path": ["src/a.py", "docs/b.md"] * (n // 2) + ["c.py"] * (n % 2),
            "category": pl.Series(truth.tolist()),
            "observed_until": np.full(n, np.datetime64("2200-01-01", "us")),
        }
    )


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_file_is_imported_once_and_bad_rows_are_named(warehouse: Warehouse, tmp_path: Path) -> None:
    file = write(
        tmp_path / "labels.csv",
        "message,file_name,comment_group,comment_id,created_at\n"
        "Off by one.,src/a.py,FUNCTION,17,2024-05-01T10:00:00+02:00\n"
        "Typo,docs/x.md,Documentation,abc_1,\n"
        ",src/a.py,DISCUSS,,\n"
        "Why?,,Chitchat,,\n"
        "Why not?,,FALSE POSITIVE,,yesterday\n"
        "12,,FALSE POSITIVE,,\n",
    )
    report = labels.import_file(warehouse, file, now=NOW)
    assert (report.imported, report.known, report.waiting) == (2, 0, (17,))
    assert sum(report.by_category.values()) == 2
    assert [number for number, _ in report.bad] == [3, 4, 5]
    assert "the text is empty" in report.bad[0][1]
    assert "'Chitchat' is none of functional, refactoring" in report.bad[1][1]
    assert "'yesterday' is not an ISO 8601 time" in report.bad[2][1]
    rows = warehouse.query("FROM ml.imported_labels ORDER BY row_number").to_dicts()
    assert (rows[0]["comment_id"], rows[0]["created_at"]) == (17, datetime(2024, 5, 1, 8))
    assert rows[1]["comment_id"] is None, "an id of another system means nothing here"
    assert rows[1]["created_at"] < rows[2]["created_at"]
    again = labels.import_file(warehouse, file, now=NOW)
    assert (again.imported, again.known) == (0, 3)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", r"has no text column \(body, message, comment, text\); it has a, b.*--text-column"),
        ("body,b\n1,2\n", r"has no category column .*--label-column"),
        ("body,category\n,functional\n", "no row that can be imported; row 1: the text is empty"),
        ("", "cannot be read as CSV"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(warehouse: Warehouse, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(QcError, match=message):
        labels.import_file(warehouse, write(tmp_path / "x.csv", text))
    with pytest.raises(QcError, match="cannot be read as CSV"):
        labels.import_file(warehouse, tmp_path / "missing.csv")


def test_feedback_beats_files_and_nobody_s_guess_is_a_label(warehouse: Warehouse) -> None:
    def comment(comment_id: int, **changes: Any) -> dict[str, Any]:
        row = {"comment_id": comment_id, "repo_id": 1, "number": 1, "body": "Why?", "author_is_bot": False}
        return row | {"created_at": histories.hour(comment_id), "path": "a.py", "in_reply_to_id": None} | changes

    rows = [comment(1), comment(2), comment(3), comment(4, in_reply_to_id=3), comment(5, body=" ")]
    rows.append(comment(6, author_is_bot=True))
    columns = "label_id, comment_id, body, path, category, origin, row_number, created_at, imported_at"
    with warehouse.write() as connection:
        histories.put(connection, {"review_comments": rows})
        connection.execute(
            "INSERT INTO ml.feedback BY NAME SELECT unnest(['a', 'b', 'c', 'd']) AS feedback_id, "
            "'comment_category' AS model, 'category' AS kind, 'amy' AS given_by, unnest([1, 1, 1, 2]) AS comment_id, "
            "unnest(['functional', 'discussion', 'discussion', 'discussion']) AS label, "
            "unnest([TIMESTAMP '2026-01-01', TIMESTAMP '2026-01-02', TIMESTAMP '2026-01-02', now()]) AS given_at, "
            "unnest(['k1', 'k1', 'k2', 'k1']) AS received_key"
        )
        connection.execute(
            f"INSERT INTO ml.imported_labels ({columns}) "
            "SELECT -1 - i, i + 1, 'Why?', NULL, 'refactoring', 'f.csv', 1, now(), now() FROM range(2) t(i)"
        )
        connection.execute(
            f"INSERT INTO ml.imported_labels ({columns}) "
            "SELECT -9, NULL, 'Typo', NULL, 'documentation', 'f.csv', 3, now(), now()"
        )
    warehouse.rebuild("features/comments")
    found = warehouse.query("FROM features.comments ORDER BY comment_id").rows_by_key("comment_id", named=True)
    labels = {key: (row[0]["category"], row[0]["label_origin"]) for key, row in found.items()}
    assert labels[1] == ("discussion", "feedback")
    assert labels[2] == ("refactoring", "f.csv"), "one key alone does not overrule a file"
    assert labels[3] == (None, None)
    assert labels[-9] == ("documentation", "f.csv")
    assert [found[key][0]["exclusion"] for key in (3, 4, 5, 6)] == [None, "reply", "empty", "bot"]
    training_rows = labelled(SPEC, model_rows(warehouse, SPEC, is_synthetic=False))
    assert set(training_rows["comment_id"]) == {1, 2, -9}
    checks = warehouse.sql_file("features/comments", section="checks").row(0, named=True)
    assert checks["rows"] == checks["raw_rows"] == 6 and checks["impossible"] == 0


@pytest.mark.slow
def test_fast_embeddings_are_those_of_sentence_transformers() -> None:
    from sentence_transformers import SentenceTransformer

    texts = [*review_comments(np.random.default_rng(1), 40)[0], "", "12", "x" * 5_000, "ß 漢字 🎉 \x00", "a b " * 600]
    expected = SentenceTransformer(encoder_folder(DEFAULT_ENCODER)).encode(texts, normalize_embeddings=True)
    found = Encoder(DEFAULT_ENCODER).encode(texts)
    assert found.shape == expected.shape == (45, 384)
    assert (found * expected).sum(axis=1).min() > 0.99
    assert np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-3)


def test_a_text_is_embedded_once_ever(tmp_path: Path) -> None:
    texts = ["one", "two", "one", ""]
    first = CachedEncoder(DEFAULT_ENCODER, tmp_path / "cache" / "e.db")
    vectors = first.encode(texts)
    assert first.misses == 3
    assert np.array_equal(vectors[0], vectors[2])
    second = CachedEncoder(DEFAULT_ENCODER, tmp_path / "cache" / "e.db")
    assert np.array_equal(second.encode(texts), vectors)
    assert (second.misses, second._encoder) == (0, None), "the model is not even loaded"
    assert second.encode([]).size == 0


def test_an_encoder_that_is_not_there_says_which_setting_names_it() -> None:
    with pytest.raises(QcError, match="QC_ENCODER=/nowhere/model cannot be loaded"):
        Encoder("/nowhere/model")


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 2), st.lists(st.integers(1, 9), min_size=3, max_size=3), st.integers(0, 3)),
        min_size=2,
        max_size=25,
    )
)
def test_category_metrics_agree_with_scikit_learn(rows: list) -> None:
    y, raw, weights = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    assume(weights.sum() > 0)
    p = raw / raw.sum(axis=1, keepdims=True)
    found = {name: value[0] for name, value in CategoryMetrics(y, p)(weights[None, :]).items()}
    kept = np.repeat(np.arange(len(y)), weights.astype(int))
    truth, answer = y[kept], p[kept].argmax(axis=1)
    occurring = np.unique(truth)
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(truth, answer))
    expected = reference.f1_score(truth, answer, labels=occurring, average="macro", zero_division=0)
    assert found["macro_f1"] == pytest.approx(expected)
    assert found["log_loss"] == pytest.approx(reference.log_loss(truth, p[kept], labels=[0, 1, 2]))
    assert found["uncertain"] == pytest.approx((p[kept].max(axis=1) < 0.6).mean())


def test_temperature_repairs_overconfidence() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet([2.0, 1.0, 1.0], 4_000)
    y = np.array([rng.choice(3, p=row) for row in p])
    sharp = p**3 / (p**3).sum(axis=1, keepdims=True)
    fitted = Temperature.fit(sharp, y)
    assert 2.5 < fitted.temperature < 3.6
    assert np.abs(fitted(sharp) - p).mean() < 0.02


@pytest.mark.slow
def test_categories_are_learnt_through_the_lifecycle_and_doubt_is_said(tmp_path: Path) -> None:
    data = dataset_of(SPEC, comments(500))
    options = training.Options(quick=True, resamples=50)
    trained = training.train(SPEC, data, options)
    assert [one.kind for one in trained.candidates] == ["linear"]
    assert trained.skipped == {"fine_tuned": "too slow for a quick training"}
    assert trained.best.evaluations["test"]["accuracy"].lower > 0.6
    assert trained.dominance is None
    assert next(iter(trained.importance)) == "body"
    bundle = Bundle.of(
        SPEC,
        trained.best.estimator,
        trained.best.calibrator,
        trivial=(),
        context=trained.context,
        is_synthetic=True,
    )
    bundle.save(tmp_path)
    loaded = Bundle.load(tmp_path)
    assert np.array_equal(loaded.predict(data.frame), bundle.predict(data.frame))
    unclear = pl.DataFrame({"body": ["ok"], "path": [None]}, schema_overrides={"path": pl.String})
    answer = task_of(SPEC).table(SPEC.classes, loaded.predict(unclear))
    assert (answer["answer"].item() == "UNCERTAIN") == (answer["prediction"].item() < 0.6)
    again = training.train(SPEC, data, options)
    assert np.array_equal(again.best.predictions, trained.best.predictions)


@pytest.mark.slow
def test_a_fine_tuned_encoder_learns_and_survives_saving(tmp_path: Path) -> None:
    frame = comments(160)
    x = frame.select("body", "path").to_numpy().astype(object)
    y = np.array([CATEGORIES.index(name) for name in frame["category"]], dtype=float)
    parameters = {"C": 2.0, "epochs": 2, "learning_rate": 1e-4, "batch_size": 16}
    found = fit_text_classifier("fine_tuned", parameters, x[:120], y[:120], np.ones(120), seed=0, threads=1)
    scores = found.score(x[120:])
    assert np.allclose(scores.sum(axis=1), 1, atol=1e-3)
    assert (scores.argmax(axis=1) == y[120:]).mean() > 0.6
    found.save(tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".pkl", ".bin", ".pt")]
    assert np.allclose(load_text_classifier(tmp_path).score(x[120:]), scores, atol=1e-6)


def test_a_text_model_file_that_holds_anything_else_is_not_loaded(tmp_path: Path) -> None:
    import skops.io

    skops.io.dump({"run": Path("/etc/passwd")}, tmp_path / "text.skops")
    with pytest.raises(QcError, match="no model of ours has such a thing"):
        load_text_classifier(tmp_path)
    with pytest.raises(QcError, match="no classifier of texts in"):
        load_text_classifier(tmp_path / "empty")


def test_an_unknown_category_is_refused() -> None:
    from qc_assets.errors import TrainingError

    with pytest.raises(TrainingError, match="unknown categories praise"):
        dataset_of(SPEC, comments(10).with_columns(category=pl.lit("praise")))
