"""Champions against what happened."""
