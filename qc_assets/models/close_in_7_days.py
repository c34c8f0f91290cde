"""close_in_7_days: will this issue be closed within seven days of being opened?"""

from datetime import timedelta

from qc_assets.learning import spaces
from qc_assets.learning.spec import ASSOCIATIONS, Candidate, ModelSpec
from qc_assets.models import author_choices
from qc_assets.models.resolution_time import FEATURES, HISTORIES, TEXTS

SPEC = ModelSpec(
    name="close_in_7_days",
    question="Will this issue be closed within 7 days of being opened?",
    asks_about="issue",
    endpoint="/predict/close-in-7-days",
    words=("closed", "open"),
    order=3,
    table="features.issues",
    target="closed_in_7_days",
    # The label of an issue that is not closed in time is known when the seven days are over; until then it is NULL.
    columns={
        "known_at": "least(CASE WHEN closed_in_7_days THEN closed_at END, opened_at + INTERVAL 7 DAY)",
    },
    known_at="known_at",
    opened_at="opened_at",
    features=FEATURES,
    texts=TEXTS,
    changes=author_choices.ISSUE,
    missing_is_a_fact=HISTORIES,
    categories={"author_association": ASSOCIATIONS},
    # After seven days every issue has its label: closed by then, or not.
    maturity=timedelta(days=7),
    margins={"roc_auc": 0.02, "log_loss": 0.02},
    outcome="closed in 7 days",
    sensitive=("repo", "seniority", "labels", "completion_time", "keywords"),
    limits=(
        "It says how soon issues were closed in these repositories, not whether they were solved.",
        "An issue may be closed as a duplicate, or reopened; only its last closing is known.",
        "Issues opened by bots were left out of the training; predictions for them are extrapolation.",
    ),
    min_auc=0.60,
    alerts=True,
    candidates=(
        Candidate(
            "lightgbm",
            {
                "n_estimators": 150,
                "learning_rate": 0.04,
                "num_leaves": 3,
                "min_child_samples": 60,
                "reg_lambda": 10.0,
                "colsample_bytree": 0.5,
            },
            spaces.lightgbm,
        ),
        Candidate(
            "xgboost",
            {
                "n_estimators": 150,
                "learning_rate": 0.04,
                "max_depth": 2,
                "min_child_weight": 10.0,
                "reg_lambda": 10.0,
                "colsample_bytree": 0.5,
            },
            spaces.xgboost,
        ),
    ),
)
