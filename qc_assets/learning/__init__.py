"""Machine learning without Dagster, SQL or settings."""
