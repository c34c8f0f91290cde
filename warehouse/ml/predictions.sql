CREATE TABLE IF NOT EXISTS ml.predictions (
    model VARCHAR,
    version INTEGER,
    repo_id BIGINT,
    number BIGINT,
    comment_id BIGINT DEFAULT 0,
    role VARCHAR NOT NULL CHECK (role IN ('champion', 'challenger')),
    opened_at TIMESTAMP NOT NULL,
    predicted_at TIMESTAMP NOT NULL,
    as_of TIMESTAMP,
    prediction DOUBLE NOT NULL,
    lower DOUBLE,
    upper DOUBLE,
    answer VARCHAR,
    PRIMARY KEY (model, version, repo_id, number, comment_id)
);
COMMENT ON TABLE ml.predictions IS 'What champion and challenger say of every item whose outcome is not known; kept when the outcome comes';
COMMENT ON COLUMN ml.predictions.model IS 'Name of the model';
COMMENT ON COLUMN ml.predictions.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN ml.predictions.repo_id IS 'Repository';
COMMENT ON COLUMN ml.predictions.number IS 'Number of the pull request or issue';
COMMENT ON COLUMN ml.predictions.comment_id IS 'Review comment; 0 where the pull request or issue itself is meant';
COMMENT ON COLUMN ml.predictions.role IS 'What the version was when it was asked';
COMMENT ON COLUMN ml.predictions.opened_at IS 'When the item was opened (UTC)';
COMMENT ON COLUMN ml.predictions.predicted_at IS 'When the prediction was last made (UTC)';
COMMENT ON COLUMN ml.predictions.as_of IS 'Up to when the item''s repository had been watched then: the outcome is later';
COMMENT ON COLUMN ml.predictions.prediction IS 'Calibrated probability; median in hours; or confidence in the answer';
COMMENT ON COLUMN ml.predictions.lower IS 'Lower end of the 80 % interval, hours; durations only';
COMMENT ON COLUMN ml.predictions.upper IS 'Upper end of it; at the horizon it means: or longer';
COMMENT ON COLUMN ml.predictions.answer IS 'The category, or UNCERTAIN; categories only';

-- name: tested_on
-- When the items were opened that a version was judged on.
SELECT min(opened_at) AS first, max(opened_at) AS last
FROM ml.test_predictions
WHERE model = $model AND version = $version;
