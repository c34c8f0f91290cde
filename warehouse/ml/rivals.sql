CREATE TABLE IF NOT EXISTS ml.rivals (
    model VARCHAR,
    version INTEGER,
    rival VARCHAR,
    metric VARCHAR,
    value DOUBLE,
    lower DOUBLE,
    upper DOUBLE,
    difference DOUBLE,
    difference_lower DOUBLE,
    difference_upper DOUBLE,
    reason VARCHAR,
    PRIMARY KEY (model, version, rival, metric)
);
COMMENT ON TABLE ml.rivals IS 'Plain models, fitted to the same rows and features as each version, on its test window';
COMMENT ON COLUMN ml.rivals.model IS 'Name of the model';
COMMENT ON COLUMN ml.rivals.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN ml.rivals.rival IS 'Kind of the plain model';
COMMENT ON COLUMN ml.rivals.metric IS 'As in ml.evaluations';
COMMENT ON COLUMN ml.rivals.value IS 'Value of the rival; NULL where there is none';
COMMENT ON COLUMN ml.rivals.lower IS 'Lower end of its 95 % bootstrap interval';
COMMENT ON COLUMN ml.rivals.upper IS 'Upper end of its 95 % bootstrap interval';
COMMENT ON COLUMN ml.rivals.difference IS 'Version minus rival, on the same rows';
COMMENT ON COLUMN ml.rivals.difference_lower IS 'Lower end of its 95 % interval (paired bootstrap)';
COMMENT ON COLUMN ml.rivals.difference_upper IS 'Upper end of it';
COMMENT ON COLUMN ml.rivals.reason IS 'Why numbers are missing';
