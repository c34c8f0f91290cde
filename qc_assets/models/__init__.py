"""Machine learning without Dagster and without SQL: specs, splits, fitting, calibration, evaluation, registry."""
