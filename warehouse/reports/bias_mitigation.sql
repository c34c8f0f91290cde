-- name: table
CREATE TABLE IF NOT EXISTS reports.bias_mitigation (
    model VARCHAR,
    version INTEGER,
    attribute VARCHAR,
    method VARCHAR,
    metric VARCHAR NOT NULL,
    accuracy_before DOUBLE,
    accuracy_after DOUBLE,
    gap_before DOUBLE,
    gap_after DOUBLE,
    spread_before DOUBLE,
    spread_after DOUBLE,
    note VARCHAR,
    PRIMARY KEY (model, version, attribute, method)
);
COMMENT ON TABLE reports.bias_mitigation IS 'What each mitigation would cost and gain a version on its test window';
COMMENT ON COLUMN reports.bias_mitigation.model IS 'Name of the model';
COMMENT ON COLUMN reports.bias_mitigation.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN reports.bias_mitigation.attribute IS 'What the groups are groups of';
COMMENT ON COLUMN reports.bias_mitigation.method IS
    'weights, resampling, exponentiated gradient, recalibration by group, means as observed, equal means, equal '
    'variances';
COMMENT ON COLUMN reports.bias_mitigation.metric IS 'What accuracy is: log_loss or log_mae, lower is better';
COMMENT ON COLUMN reports.bias_mitigation.accuracy_before IS 'Of a plain fit on the same rows';
COMMENT ON COLUMN reports.bias_mitigation.accuracy_after IS 'With the mitigation; NULL if it was not possible';
COMMENT ON COLUMN reports.bias_mitigation.gap_before IS
    'Largest relative gap of a supported group: of the observed rate, or of the mean error';
COMMENT ON COLUMN reports.bias_mitigation.gap_after IS 'With the mitigation';
COMMENT ON COLUMN reports.bias_mitigation.spread_before IS 'Highest less lowest mean prediction of supported groups';
COMMENT ON COLUMN reports.bias_mitigation.spread_after IS 'With the mitigation';
COMMENT ON COLUMN reports.bias_mitigation.note IS 'Why it was not possible; NULL if it was';
