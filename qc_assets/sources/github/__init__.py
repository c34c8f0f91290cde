"""GitHub's API as a source."""
