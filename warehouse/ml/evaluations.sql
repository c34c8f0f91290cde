CREATE TABLE IF NOT EXISTS ml.evaluations (
    model VARCHAR,
    version INTEGER,
    time_window VARCHAR CHECK (time_window IN ('test', 'last_30_days')),
    metric VARCHAR,
    value DOUBLE,
    lower DOUBLE,
    upper DOUBLE,
    baseline DOUBLE,
    reason VARCHAR,
    PRIMARY KEY (model, version, time_window, metric)
);
COMMENT ON TABLE ml.evaluations IS 'Metrics of each version on rows later than all that it was fitted to';
COMMENT ON COLUMN ml.evaluations.model IS 'Name of the model';
COMMENT ON COLUMN ml.evaluations.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN ml.evaluations.time_window IS 'The whole test window, or its last 30 days';
COMMENT ON COLUMN ml.evaluations.metric IS
    'roc_auc, pr_auc, brier, log_loss, ece; mae, rmse, … of hours and log hours, concordance, coverage; '
    'accuracy, macro_f1, …; of a question of its own, after its name: approved_if_verdict_brier';
COMMENT ON COLUMN ml.evaluations.value IS 'Value on the window; NULL where there is none';
COMMENT ON COLUMN ml.evaluations.lower IS 'Lower end of the 95 % bootstrap interval';
COMMENT ON COLUMN ml.evaluations.upper IS 'Upper end of the 95 % bootstrap interval';
COMMENT ON COLUMN ml.evaluations.baseline IS
    'The same metric for an answer that knows only the labels of the calibration window';
COMMENT ON COLUMN ml.evaluations.reason IS 'Why value or interval are missing: too few rows, or labels of one kind';
