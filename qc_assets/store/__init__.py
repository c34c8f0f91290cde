"""The warehouse: one DuckDB file, opened for a moment, changed by short transactions."""
