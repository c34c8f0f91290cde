-- name: table
CREATE TABLE reports.live_reliability (
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
COMMENT ON TABLE reports.live_reliability IS
    'What champions promised, a probability or the 80 % of an interval, against what came true, by repository, by '
    'month of opening and by who made it: all decided items that they were not fitted to';
COMMENT ON COLUMN reports.live_reliability.model IS 'Name of the model';
COMMENT ON COLUMN reports.live_reliability.version IS 'Version that is champion';
COMMENT ON COLUMN reports.live_reliability.part IS
    'What the rows have in common: repository, month of opening (UTC), or origin';
COMMENT ON COLUMN reports.live_reliability.name IS
    'Name of the repository (its id where that is not known), the month, or who made it';
COMMENT ON COLUMN reports.live_reliability."rows" IS 'Decided items of it';
COMMENT ON COLUMN reports.live_reliability.predicted IS 'Mean probability; of intervals 0.8';
COMMENT ON COLUMN reports.live_reliability.observed IS 'Share that came true; of intervals the share that lay within';
COMMENT ON COLUMN reports.live_reliability.gap IS 'predicted - observed; NULL where there are too few rows';
COMMENT ON COLUMN reports.live_reliability.lower IS 'Lower end of the 95 % bootstrap interval of the gap';
COMMENT ON COLUMN reports.live_reliability.upper IS 'Upper end of it';
COMMENT ON COLUMN reports.live_reliability.ece IS
    'Calibration error over 15 bins; above zero by chance alone, the more so the fewer rows there are';
COMMENT ON COLUMN reports.live_reliability.ece_lower IS 'Lower end of its 95 % bootstrap interval';
COMMENT ON COLUMN reports.live_reliability.ece_upper IS 'Upper end of it';
COMMENT ON COLUMN reports.live_reliability.is_off IS
    'Whether such a gap is surely no chance: of those that are named, one in twenty may be; NULL: too few rows to say';
COMMENT ON COLUMN reports.live_reliability.reason IS 'Why numbers are missing';
