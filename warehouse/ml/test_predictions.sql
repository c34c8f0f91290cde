CREATE TABLE IF NOT EXISTS ml.test_predictions (
    model VARCHAR,
    version INTEGER,
    repo_id BIGINT,
    number BIGINT,
    opened_at TIMESTAMP NOT NULL,
    prediction DOUBLE NOT NULL,
    label DOUBLE NOT NULL,
    PRIMARY KEY (model, version, repo_id, number)
);
COMMENT ON TABLE ml.test_predictions IS 'What each version predicted for the rows of its test window, beside what happened';
COMMENT ON COLUMN ml.test_predictions.model IS 'Name of the model';
COMMENT ON COLUMN ml.test_predictions.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN ml.test_predictions.repo_id IS 'Repository';
COMMENT ON COLUMN ml.test_predictions.number IS 'Number of the pull request or issue';
COMMENT ON COLUMN ml.test_predictions.opened_at IS 'When it was opened (UTC)';
COMMENT ON COLUMN ml.test_predictions.prediction IS 'Calibrated probability';
COMMENT ON COLUMN ml.test_predictions.label IS '1 if it came true, else 0';
