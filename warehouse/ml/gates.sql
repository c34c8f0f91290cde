CREATE TABLE IF NOT EXISTS ml.gates (
    model VARCHAR,
    version INTEGER,
    gate VARCHAR,
    passed BOOLEAN,
    blocks BOOLEAN NOT NULL,
    detail VARCHAR NOT NULL,
    PRIMARY KEY (model, version, gate)
);
COMMENT ON TABLE ml.gates IS 'What every version was asked before it could become champion';
COMMENT ON COLUMN ml.gates.model IS 'Name of the model';
COMMENT ON COLUMN ml.gates.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN ml.gates.gate IS 'Name of the promise';
COMMENT ON COLUMN ml.gates.passed IS 'Whether it was kept; NULL where it could not be judged, and is left out';
COMMENT ON COLUMN ml.gates.blocks IS 'Whether breaking it keeps the version from becoming champion; else it only warns';
COMMENT ON COLUMN ml.gates.detail IS 'The numbers';
