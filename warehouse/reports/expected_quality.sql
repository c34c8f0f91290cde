-- name: table
CREATE TABLE reports.expected_quality (
    model VARCHAR,
    version INTEGER,
    part VARCHAR CHECK (part IN ('waiting', 'decided')),
    metric VARCHAR,
    items BIGINT NOT NULL,
    opened_from TIMESTAMP,
    opened_until TIMESTAMP,
    expected DOUBLE,
    lower DOUBLE,
    upper DOUBLE,
    observed DOUBLE,
    reason VARCHAR,
    PRIMARY KEY (model, version, part, metric)
);
COMMENT ON TABLE reports.expected_quality IS
    'How good champions are if their probabilities are right, before labels are known, beside what was found of the '
    'last ones that are; confidence-based performance estimation (CBPE)';
COMMENT ON COLUMN reports.expected_quality.model IS 'Name of the model';
COMMENT ON COLUMN reports.expected_quality.version IS 'Version that is champion';
COMMENT ON COLUMN reports.expected_quality.part IS
    'waiting: opened within the time that labels need; decided: those of the 28 days before that have labels';
COMMENT ON COLUMN reports.expected_quality.metric IS 'roc_auc, brier, log_loss or accuracy (of the likelier label)';
COMMENT ON COLUMN reports.expected_quality.items IS 'Predictions that it is about';
COMMENT ON COLUMN reports.expected_quality.opened_from IS 'When the first of them was opened (UTC)';
COMMENT ON COLUMN reports.expected_quality.opened_until IS 'When the last of them was opened (UTC)';
COMMENT ON COLUMN reports.expected_quality.expected IS
    'Mean over labels drawn by the probabilities; NULL where too few';
COMMENT ON COLUMN reports.expected_quality.lower IS 'Lower end of the interval that holds 95 % of the draws';
COMMENT ON COLUMN reports.expected_quality.upper IS 'Upper end of it';
COMMENT ON COLUMN reports.expected_quality.observed IS 'What was found; NULL while labels are not mature';
COMMENT ON COLUMN reports.expected_quality.reason IS 'Why numbers are missing';
