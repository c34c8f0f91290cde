"""first_response: how many hours until somebody looks at this pull request?"""

from datetime import timedelta

from qc_assets.learning import spaces
from qc_assets.learning.spec import ASSOCIATIONS, UNUSABLE, Candidate, ModelSpec
from qc_assets.models import author_choices

# Unknown for an author or a repository without a history, and for an author whose account is gone. Few: with
# twice as many, most of p0's, no kind of model was better on later rows of any real history.
_HISTORIES = (
    "author_hours_to_first_response",
    "author_tenure_days",
    "author_is_newcomer",
    "author_reviews_given_in_repo",
    "author_merges_given_in_repo",
    "repo_hours_to_first_response",
)

SPEC = ModelSpec(
    name="first_response",
    question="How many hours until somebody responds to this pull request?",
    task="duration",
    asks_about="pull_request",
    endpoint="/predict/first-response",
    order=5,
    table="features.pull_requests",
    # A draft asks nobody to look, and when it becomes ready is not known. Small ones wait, too.
    excluded=(*UNUSABLE, "draft"),
    target="first_response_hours",
    # One that nobody has responded to says something, too: labels are read at each boundary as they were then.
    known_at="opened_at",
    opened_at="opened_at",
    left_at="closed_unanswered_at",
    features=(
        *_HISTORIES,
        "author_association",
        "repo_verdict_share",
        "repo_open_prs",
        "log_lines",
        "files_changed",
        "hour",
        "weekday",
        "is_weekend",
    ),
    texts=("opened_title", "opened_body"),
    changes=author_choices.PULL_REQUEST,
    missing_is_a_fact=_HISTORIES,
    categories={"author_association": ASSOCIATIONS},
    maturity=timedelta(days=7),
    max_horizon=timedelta(days=60),
    margins={"concordance": 0.02, "log_mae": 0.05},
    sensitive=("repo", "seniority", "origin"),
    limits=(
        "A response is what a person other than the author does while the pull request is open: a review, a comment, "
        "merging or closing it. Whether they looked before, nobody knows.",
        "One that its author, a program, or somebody unknown closes before that waits no longer, and counts as watched "
        "until then: what is said is said of those that stay open.",
        "Durations are counted up to the horizon; an upper end that reaches it means: or longer.",
        "Drafts and those of bots were left out of the training; predictions for them are extrapolation.",
    ),
    # Both of a mean: where more than half wait beyond the horizon, trees of the median say that of everything.
    candidates=(
        Candidate(
            "lightgbm",
            spaces.HUBER
            | {
                "n_estimators": 100,
                "learning_rate": 0.04,
                "num_leaves": 4,
                "min_child_samples": 60,
                "reg_lambda": 30.0,
                "colsample_bytree": 0.5,
            },
            spaces.robust_lightgbm,
        ),
        Candidate(
            "random_forest",
            {"n_estimators": 100, "max_depth": 8, "min_samples_leaf": 40, "max_features": 0.35},
            spaces.forest_of_medians,
        ),
    ),
)
