CREATE TABLE IF NOT EXISTS ml.checks (
    model VARCHAR,
    promise VARCHAR,
    version INTEGER NOT NULL,
    passed BOOLEAN NOT NULL,
    blocks BOOLEAN NOT NULL,
    detail VARCHAR NOT NULL,
    checked_at TIMESTAMP NOT NULL,
    PRIMARY KEY (model, promise)
);
COMMENT ON TABLE ml.checks IS
    'The last word of the checks of monitoring on each champion; the API reads them before it pays';
COMMENT ON COLUMN ml.checks.model IS 'Name of the model';
COMMENT ON COLUMN ml.checks.promise IS 'Name of the check, as Dagster shows it';
COMMENT ON COLUMN ml.checks.version IS 'Version that was checked';
COMMENT ON COLUMN ml.checks.passed IS 'Whether it held';
COMMENT ON COLUMN ml.checks.blocks IS 'Whether nobody is paid by the version while it does not; else it only warns';
COMMENT ON COLUMN ml.checks.detail IS 'The numbers';
COMMENT ON COLUMN ml.checks.checked_at IS 'When (UTC)';
