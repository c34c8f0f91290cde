-- name: table
CREATE TABLE reports.monitoring (
    model VARCHAR,
    version INTEGER,
    week DATE,
    items BIGINT NOT NULL,
    decided BIGINT NOT NULL,
    mean_prediction DOUBLE,
    observed DOUBLE,
    quality VARCHAR NOT NULL,
    quality_value DOUBLE,
    error VARCHAR NOT NULL,
    error_value DOUBLE,
    score_psi DOUBLE,
    uncertain DOUBLE,
    label_delay_hours DOUBLE,
    PRIMARY KEY (model, version, week)
);
COMMENT ON TABLE reports.monitoring IS
    'Champions by week of opening: what was predicted without knowing the outcome, against what happened';
COMMENT ON COLUMN reports.monitoring.model IS 'Name of the model';
COMMENT ON COLUMN reports.monitoring.version IS 'Version that is champion';
COMMENT ON COLUMN reports.monitoring.week IS 'Monday of the week in which the items were opened (UTC)';
COMMENT ON COLUMN reports.monitoring.items IS 'Items that were predicted';
COMMENT ON COLUMN reports.monitoring.decided IS 'Of those, how many have a label that had time to mature';
COMMENT ON COLUMN reports.monitoring.mean_prediction IS
    'Mean prediction of the decided: probability, confidence, or hours (as observed is counted)';
COMMENT ON COLUMN reports.monitoring.observed IS
    'What happened to them on average: share, share right, or hours (up to what nine tenths were watched for)';
COMMENT ON COLUMN reports.monitoring.quality IS 'Which measure of ranking: roc_auc, concordance or accuracy';
COMMENT ON COLUMN reports.monitoring.quality_value IS 'Its value; NULL where too few are decided';
COMMENT ON COLUMN reports.monitoring.error IS 'Which measure of error: brier, log_mae or log_loss';
COMMENT ON COLUMN reports.monitoring.error_value IS 'Its value; NULL where too few are decided';
COMMENT ON COLUMN reports.monitoring.score_psi IS
    'Population stability index of the week''s predictions against those of the test window';
COMMENT ON COLUMN reports.monitoring.uncertain IS 'Share answered UNCERTAIN; categories only';
COMMENT ON COLUMN reports.monitoring.label_delay_hours IS 'Median hours from the opening to the label';
