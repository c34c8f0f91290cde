"""What is read from the declarations of tables."""

import pytest

from qc_assets.errors import QcError
from qc_assets.sources.demo import code, comments
from qc_assets.store.schema import allowed_values


def test_the_categories_of_comments_are_those_of_their_table() -> None:
    categories = allowed_values("ml.imported_labels", "category")
    assert categories == ("functional", "refactoring", "documentation", "discussion", "false_positive")
    assert tuple(comments.SHARES) == tuple(code.CHANGED) == categories, "the demo knows what each is like"
    with pytest.raises(QcError, match="which values body may have"):
        allowed_values("ml.imported_labels", "body")
