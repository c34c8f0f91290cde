"""comment_category: what kind of feedback is this review comment?"""

from datetime import timedelta

from qc_assets.learning import spaces
from qc_assets.learning.spec import Candidate, ModelSpec
from qc_assets.store.schema import allowed_values

# Turzo et al. (2023), table 2.
CATEGORIES = allowed_values("ml.imported_labels", "category")

SPEC = ModelSpec(
    name="comment_category",
    question="What kind of feedback is this review comment?",
    task="category",
    asks_about="comment",
    endpoint="/classify/comment",
    feedback_kind="category",
    order=4,
    table="features.comments",
    excluded=("empty", "bot", "reply"),
    target="category",
    # A category is a property of the text: a label that is given years later says nothing about later comments.
    known_at="opened_at",
    opened_at="opened_at",
    features=("body", "path"),
    key=("repo_id", "number", "comment_id"),
    classes=CATEGORIES,
    maturity=timedelta(0),
    margins={"macro_f1": 0.03, "log_loss": 0.05},
    limits=(
        "Categories overlap, and people disagree about one comment in five: the confidence matters.",
        "It was trained on the languages and habits of the labelled comments; English, mostly. In other projects it is "
        "UNCERTAIN more often, and right less often (docs/truth.md says how much).",
        "It reads the comment and its path, not the code under discussion.",
    ),
    candidates=(
        Candidate("linear", {"C": 2.0}, spaces.linear_text),
        Candidate(
            "fine_tuned",
            {"C": 2.0, "epochs": 6, "learning_rate": 1e-4, "batch_size": 16},
            # Tuning takes minutes a fit: a search would take hours.
            None,
            is_slow=True,
        ),
    ),
)
