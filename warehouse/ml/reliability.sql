CREATE TABLE IF NOT EXISTS ml.reliability (
    model VARCHAR,
    version INTEGER,
    part VARCHAR CHECK (part IN ('repository', 'month', 'origin')),
    name VARCHAR,
    "rows" BIGINT NOT NULL,
    predicted DOUBLE NOT NULL,
    observed DOUBLE NOT NULL,
    gap DOUBLE,
    lower DOUBLE,
    upper DOUBLE,
    ece DOUBLE,
    ece_lower DOUBLE,
    ece_upper DOUBLE,
    is_off BOOLEAN,
    reason VARCHAR,
    PRIMARY KEY (model, version, part, name)
);
COMMENT ON TABLE ml.reliability IS
    'Promised probability against what came true, by repository, month and origin of each version''s test window';
COMMENT ON COLUMN ml.reliability.model IS 'Name of the model';
COMMENT ON COLUMN ml.reliability.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN ml.reliability.part IS 'What the rows have in common: repository, month of opening (UTC), or origin';
COMMENT ON COLUMN ml.reliability.name IS
    'Name of the repository (its id where that is not known), the month, or who made it';
COMMENT ON COLUMN ml.reliability."rows" IS 'Rows of it in the test window';
COMMENT ON COLUMN ml.reliability.predicted IS 'Mean probability; of durations the 0.8 of their intervals';
COMMENT ON COLUMN ml.reliability.observed IS 'Share that came true; of durations the share within';
COMMENT ON COLUMN ml.reliability.gap IS 'predicted - observed; NULL where there are too few rows';
COMMENT ON COLUMN ml.reliability.lower IS 'Lower end of the 95 % bootstrap interval of the gap';
COMMENT ON COLUMN ml.reliability.upper IS 'Upper end of it';
COMMENT ON COLUMN ml.reliability.ece IS
    'Calibration error over 15 bins; above zero by chance alone, the more so the fewer rows there are';
COMMENT ON COLUMN ml.reliability.ece_lower IS 'Lower end of its 95 % bootstrap interval';
COMMENT ON COLUMN ml.reliability.ece_upper IS 'Upper end of it';
COMMENT ON COLUMN ml.reliability.is_off IS
    'Whether such a gap is surely no chance: of those that are named, one in twenty may be; NULL: too few rows to say';
COMMENT ON COLUMN ml.reliability.reason IS 'Why numbers are missing';
