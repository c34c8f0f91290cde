CREATE TABLE IF NOT EXISTS ml.test_predictions (
    model VARCHAR,
    version INTEGER,
    repo_id BIGINT, -- forge id
    number BIGINT,
    comment_id BIGINT DEFAULT 0, -- forge id
    opened_at TIMESTAMP NOT NULL,
    prediction DOUBLE NOT NULL,
    lower DOUBLE,
    upper DOUBLE,
    answer VARCHAR,
    label DOUBLE,
    outcome VARCHAR,
    PRIMARY KEY (model, version, repo_id, number, comment_id)
);
COMMENT ON TABLE ml.test_predictions IS
    'What each version predicted for the rows of its test window, beside what happened';
COMMENT ON COLUMN ml.test_predictions.model IS 'Name of the model';
COMMENT ON COLUMN ml.test_predictions.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN ml.test_predictions.repo_id IS 'Repository';
COMMENT ON COLUMN ml.test_predictions.number IS 'Number of the pull request or issue';
COMMENT ON COLUMN ml.test_predictions.comment_id IS 'Review comment; 0 where the pull request or issue itself is meant';
COMMENT ON COLUMN ml.test_predictions.opened_at IS 'When it was opened (UTC)';
COMMENT ON COLUMN ml.test_predictions.prediction IS
    'Calibrated probability; median in hours; or confidence in the answer';
COMMENT ON COLUMN ml.test_predictions.lower IS
    'Lower end of the interval: 80 % of durations, hours; of probabilities what it would be with one more failure '
    'like it (Venn-Abers); NULL where there is none';
COMMENT ON COLUMN ml.test_predictions.upper IS
    'Upper end of it; of durations at the horizon it means: or longer; of probabilities with one more success';
COMMENT ON COLUMN ml.test_predictions.answer IS 'The category that was answered, or UNCERTAIN; categories only';
COMMENT ON COLUMN ml.test_predictions.label IS
    '1 if it came true, else 0; hours up to the horizon, NULL if still open; 1 if the likeliest category was right';
COMMENT ON COLUMN ml.test_predictions.outcome IS 'The true category; categories only';
