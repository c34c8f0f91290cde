CREATE TABLE IF NOT EXISTS ml.predictions (
    model VARCHAR,
    version INTEGER,
    repo_id BIGINT, -- forge id
    number BIGINT,
    comment_id BIGINT DEFAULT 0, -- forge id
    entry VARCHAR DEFAULT '',
    role VARCHAR NOT NULL CHECK (role IN ('champion', 'challenger', 'stand_in', 'served')),
    opened_at TIMESTAMP NOT NULL,
    predicted_at TIMESTAMP NOT NULL,
    as_of TIMESTAMP,
    prediction DOUBLE NOT NULL,
    lower DOUBLE,
    upper DOUBLE,
    answer VARCHAR,
    task_id VARCHAR,
    worker_id VARCHAR,
    inputs VARCHAR,
    latency_ms DOUBLE,
    received_key VARCHAR,
    received_from VARCHAR,
    PRIMARY KEY (model, version, repo_id, number, comment_id, entry)
);
COMMENT ON TABLE ml.predictions IS
    'What champion and challenger say of every item whose outcome is not known, and what the API answered; kept '
    'when the outcome comes';
COMMENT ON COLUMN ml.predictions.model IS 'Name of the model';
COMMENT ON COLUMN ml.predictions.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN ml.predictions.repo_id IS
    'Repository; 0 if the API was asked about one that the warehouse does not know';
COMMENT ON COLUMN ml.predictions.number IS 'Number of the pull request or issue';
COMMENT ON COLUMN ml.predictions.comment_id IS 'Review comment; 0 where the pull request or issue itself is meant';
COMMENT ON COLUMN ml.predictions.entry IS 'Journal and number of the entry if the API answered, else empty';
COMMENT ON COLUMN ml.predictions.role IS
    'What the version was when it was asked: champion or challenger by the job scoring; stand_in: an earlier '
    'champion, as the files of the champion were broken; served: the version that the API answered with';
COMMENT ON COLUMN ml.predictions.opened_at IS
    'When the item was opened (UTC); when it was asked about if that is unknown';
COMMENT ON COLUMN ml.predictions.predicted_at IS 'When the prediction was last made (UTC)';
COMMENT ON COLUMN ml.predictions.as_of IS
    'Up to when the item''s repository had been watched then: the outcome is later';
COMMENT ON COLUMN ml.predictions.prediction IS 'Calibrated probability; median in hours; or confidence in the answer';
COMMENT ON COLUMN ml.predictions.lower IS
    'Lower end of the interval: 80 % of durations, hours; of probabilities what it would be with one more failure '
    'like it (Venn-Abers); NULL where there is none';
COMMENT ON COLUMN ml.predictions.upper IS
    'Upper end of it; of durations at the horizon it means: or longer; of probabilities with one more success';
COMMENT ON COLUMN ml.predictions.answer IS 'The category, or UNCERTAIN; for probabilities only if the API answered';
COMMENT ON COLUMN ml.predictions.task_id IS 'What the API was asked about';
COMMENT ON COLUMN ml.predictions.worker_id IS 'Author that the API was told';
COMMENT ON COLUMN ml.predictions.inputs IS 'JSON: the request, and the features that the model was given; API only';
COMMENT ON COLUMN ml.predictions.latency_ms IS 'Milliseconds that the answer took; API only';
COMMENT ON COLUMN ml.predictions.received_key IS 'Name of the key that asked; NULL where none is needed';
COMMENT ON COLUMN ml.predictions.received_from IS 'Address that asked; API only';

-- name: tested_on
-- When the items were opened that a version was judged on.
SELECT min(opened_at) AS first, max(opened_at) AS last
FROM ml.test_predictions
WHERE model = $model AND version = $version;
