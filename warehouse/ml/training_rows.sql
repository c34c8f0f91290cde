CREATE TABLE IF NOT EXISTS ml.training_rows (
    model VARCHAR,
    version INTEGER,
    repo_id BIGINT, -- forge id
    number BIGINT,
    comment_id BIGINT DEFAULT 0, -- forge id
    time_window VARCHAR NOT NULL CHECK (time_window IN ('train', 'gap', 'calibration', 'test')),
    PRIMARY KEY (model, version, repo_id, number, comment_id)
);
COMMENT ON TABLE ml.training_rows IS
    'Which rows each version was fitted to, calibrated and tested on; ml.model_versions has the identity of '
    'their contents';
COMMENT ON COLUMN ml.training_rows.model IS 'Name of the model';
COMMENT ON COLUMN ml.training_rows.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN ml.training_rows.repo_id IS 'Repository';
COMMENT ON COLUMN ml.training_rows.number IS 'Number of the pull request or issue';
COMMENT ON COLUMN ml.training_rows.comment_id IS 'Review comment; 0 where the pull request or issue itself is meant';
COMMENT ON COLUMN ml.training_rows.time_window IS 
    'train: fitted to; calibration: calibrated on, then fitted to with train and the gap between them; test: judged on.'
    ' With QC_TRAIN_ROWS it is a sample of these that is fitted to';
