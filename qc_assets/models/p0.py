"""p0: will this pull request pass its first review?"""

from datetime import timedelta

from qc_assets.learning import spaces
from qc_assets.learning.spec import ASSOCIATIONS, UNUSABLE, Candidate, Heads, ModelSpec
from qc_assets.models import author_choices
from qc_assets.origin_rules import ORIGINS

# Unknown only for an author whose account is gone, or who has no history.
AUTHOR_HISTORY = (
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
    "author_is_first_contribution",
    "author_reviews_given_in_repo",
    "author_merges_given_in_repo",
)

SPEC = ModelSpec(
    name="p0",
    question="Will this pull request pass its first review?",
    asks_about="pull_request",
    endpoint="/predict",
    words=("passed", "failed"),
    actions=("auto_approve_eligible", "standard_review", "careful_review", "priority_review"),
    order=1,
    table="features.pull_requests",
    # An undecided one waits for its label.
    excluded=(*UNUSABLE, "draft", "size_unknown", "too_small"),
    target="passed",
    known_at="decided_at",
    opened_at="opened_at",
    features=(
        *AUTHOR_HISTORY,
        "author_association",
        "origin",
        "repo_pass_rate",
        "repo_decided_recently",
        "repo_verdict_share",
        "repo_changes_rate",
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
    texts=("opened_title", "opened_body"),
    changes=author_choices.PULL_REQUEST,
    # Automations are left out; of whom nobody knows who made it, that is unknown.
    categories={"author_association": ASSOCIATIONS, "origin": ORIGINS[:-1]},
    sensitive=("repo", "seniority", "origin"),
    # An author or a repository without a history, and an author whose account is gone.
    missing_is_a_fact=(
        *AUTHOR_HISTORY,
        "repo_pass_rate",
        "repo_hours_to_first_review",
    ),
    # What somebody has achieved never costs them: a person can accept that, and no history shows that it loses
    # anything. How much somebody opens is no achievement: where many open much, it surely speaks against them.
    monotone={
        "author_prior_merged": 1,
        "author_prior_merged_in_repo": 1,
        "author_pass_rate": 1,
        "author_average_cycles": -1,
        "author_is_newcomer": -1,
        "author_is_first_contribution": -1,
    },
    learns_from_others=True,
    # Pull requests whose size at the opening is lost.
    left_out="unknown_sizes",
    # In two weeks most first reviews are in; a row younger than that would be there only if it was quick.
    maturity=timedelta(days=14),
    margins={"roc_auc": 0.02, "log_loss": 0.02},
    outcome="passed",
    # Whether a reviewer decides and which way have other causes, and other base rates in every team.
    heads=Heads("decided_by_verdict", "verdict", "approved_if_verdict", "landed_if_none"),
    limits=(
        "It says how first reviews ended in these repositories, not whether the code is good.",
        "It knows only what was in the warehouse: an author without history here may be experienced elsewhere.",
        "Automations (of dependencies, releases, translations), drafts, very small pull requests, and those whose size "
        "at the opening is lost were left out of the training; predictions for them are extrapolation.",
        "Who made a change is told by marks that agents and assistants leave; who removes them is taken for a person.",
    ),
    candidates=(
        # Where rows are few or times change, to choose among kinds is half chance, and their mean the better answer.
        Candidate(
            "blend",
            {
                "logistic": {"C": 0.03},
                "random_forest": {"n_estimators": 100, "max_depth": 12, "min_samples_leaf": 20, "max_features": 0.35},
                "lightgbm": {
                    "n_estimators": 150,
                    "learning_rate": 0.04,
                    "num_leaves": 4,
                    "min_child_samples": 20,
                    "reg_lambda": 10.0,
                    "colsample_bytree": 0.5,
                },
            },
            spaces.blend,
        ),
        # Larger trees, for the many thousands of rows of many repositories.
        Candidate(
            "lightgbm",
            {
                "n_estimators": 200,
                "learning_rate": 0.05,
                "num_leaves": 31,
                "min_child_samples": 50,
                "reg_lambda": 10.0,
                "colsample_bytree": 0.5,
            },
            spaces.lightgbm,
        ),
    ),
)
