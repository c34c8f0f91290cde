"""p0: will this pull request pass its first review?"""

from datetime import timedelta
from typing import TYPE_CHECKING

from qc_assets.models.spec import ASSOCIATIONS, Candidate, ModelSpec, Parameters

if TYPE_CHECKING:
    import optuna


def _forest_space(trial: "optuna.Trial") -> Parameters:
    return {
        "n_estimators": 150,
        "max_depth": trial.suggest_int("max_depth", 4, 16),
        "min_samples_leaf": trial.suggest_int("min_samples_leaf", 5, 100, log=True),
        "max_features": trial.suggest_float("max_features", 0.15, 0.8),
    }


def _lightgbm_space(trial: "optuna.Trial") -> Parameters:
    return {
        "n_estimators": trial.suggest_int("n_estimators", 50, 600, log=True),
        "learning_rate": trial.suggest_float("learning_rate", 0.01, 0.2, log=True),
        "num_leaves": trial.suggest_int("num_leaves", 4, 63, log=True),
        "min_child_samples": trial.suggest_int("min_child_samples", 10, 200, log=True),
        "reg_lambda": trial.suggest_float("reg_lambda", 1e-2, 100, log=True),
        "colsample_bytree": trial.suggest_float("colsample_bytree", 0.3, 1.0),
    }


SPEC = ModelSpec(
    name="p0",
    question="Will this pull request pass its first review?",
    table="features.pull_requests",
    target="passed",
    known_at="decided_at",
    opened_at="opened_at",
    features=(
        "author_prior_prs",
        "author_prior_prs_in_repo",
        "author_prior_merged",
        "author_prior_merged_in_repo",
        "author_prior_decided",
        "author_pass_rate",
        "author_average_cycles",
        "author_days_since_last_pr",
        "author_tenure_days",
        "author_is_newcomer",
        "author_association",
        "repo_pass_rate",
        "repo_decided_recently",
        "repo_open_prs",
        "repo_hours_to_first_review",
        "log_lines",
        "files_changed",
        "commits",
        "additions_share",
        "title_length",
        "body_length",
        "link_count",
        "checklist_items",
        "code_blocks",
        "is_bug_fix",
        "is_feature",
        "is_documentation",
        "is_refactor",
        "hour",
        "weekday",
        "is_weekend",
    ),
    categories={"author_association": ASSOCIATIONS},
    # In two weeks most first reviews are in; a row younger than that would be there only if it was quick.
    maturity=timedelta(days=14),
    candidates=(
        Candidate(
            "random_forest",
            {"n_estimators": 150, "max_depth": 12, "min_samples_leaf": 40, "max_features": 0.35},
            _forest_space,
        ),
        Candidate(
            "lightgbm",
            {
                "n_estimators": 400,
                "learning_rate": 0.04,
                "num_leaves": 4,
                "min_child_samples": 100,
                "reg_lambda": 10.0,
                "colsample_bytree": 0.5,
            },
            _lightgbm_space,
        ),
    ),
)
