"""resolution_time: how many hours until this issue is resolved?"""

from datetime import timedelta

from qc_assets.learning import spaces
from qc_assets.learning.spec import ASSOCIATIONS, Bound, Candidate, ModelSpec
from qc_assets.models import author_choices

_AUTHOR_HISTORY = (
    "author_prior_issues",
    "author_prior_issues_in_repo",
    "author_prior_prs_in_repo",
    "author_prior_closed",
    "author_average_hours",
    "author_days_since_last_issue",
    "author_tenure_days",
    "author_is_newcomer",
    "author_reviews_given_in_repo",
    "author_merges_given_in_repo",
)

# What is known of an issue when it is opened.
FEATURES = (
    *_AUTHOR_HISTORY,
    "author_association",
    "repo_closed_recently",
    "repo_closed_in_7_days_rate",
    "repo_open_issues",
    "repo_median_hours",
    "repo_open_prs",
    "title_length",
    "body_length",
    "link_count",
    "checklist_items",
    "code_blocks",
    "label_count",
    "is_bug",
    "is_feature",
    "is_documentation",
    "is_refactor",
    "hour",
    "weekday",
    "is_weekend",
)

TEXTS = ("opened_title", "opened_body")

# Unknown for an author or a repository without a history, and for an author whose account is gone.
HISTORIES = (*_AUTHOR_HISTORY, "repo_median_hours")

SPEC = ModelSpec(
    name="resolution_time",
    question="How many hours until this issue is resolved?",
    task="duration",
    asks_about="issue",
    endpoint="/predict/resolution-time",
    order=2,
    table="features.issues",
    target="resolution_hours",
    # An issue that is still open says something, too: labels are read at each boundary as they were then.
    known_at="opened_at",
    opened_at="opened_at",
    features=FEATURES,
    texts=TEXTS,
    changes=author_choices.ISSUE,
    missing_is_a_fact=HISTORIES,
    categories={"author_association": ASSOCIATIONS},
    maturity=timedelta(days=7),
    max_horizon=timedelta(days=90),
    # What is resolved is closed.
    bound=Bound("close_in_7_days", hours=168),
    # Ranking and typical error; a millionth of a log hour would be noise, a twentieth is 5 % of the time.
    margins={"concordance": 0.02, "log_mae": 0.05},
    sensitive=("repo", "seniority", "labels", "completion_time", "keywords"),
    limits=(
        "Resolved is what was closed as completed, and not as stale, duplicate or not planned; whether it was solved, "
        "nobody knows.",
        "An issue that ended otherwise is never resolved: the median is beyond the horizon where most end so.",
        "In what is answered, an end or a median before 168 hours is raised to that where close_in_7_days has fewer "
        "closed by then than would be resolved; the metrics here are of the model alone.",
        "Durations are counted up to the horizon; an upper end that reaches it means: or longer.",
        "Only the last closing of a reopened issue is known.",
        "Issues opened by bots were left out of the training; predictions for them are extrapolation.",
    ),
    candidates=(
        Candidate("linear", {"alpha": 10.0}, spaces.linear),
        Candidate(
            "random_forest",
            {"n_estimators": 100, "max_depth": 12, "min_samples_leaf": 30, "max_features": 0.35},
            spaces.forest_of_medians,
        ),
        Candidate("svm", {"gamma": 0.01, "n_components": 100, "alpha": 1e-4, "epsilon": 0.1}, spaces.svm),
        Candidate(
            "xgboost",
            {
                "n_estimators": 200,
                "learning_rate": 0.06,
                "max_depth": 3,
                "min_child_weight": 10.0,
                "reg_lambda": 10.0,
                "colsample_bytree": 0.5,
            },
            spaces.xgboost,
        ),
        Candidate(
            "lightgbm",
            {
                "n_estimators": 200,
                "learning_rate": 0.06,
                "num_leaves": 6,
                "min_child_samples": 60,
                "reg_lambda": 10.0,
                "colsample_bytree": 0.5,
            },
            spaces.lightgbm,
        ),
    ),
)
