CREATE TABLE IF NOT EXISTS ml.model_versions (
    model VARCHAR,
    version INTEGER,
    task VARCHAR NOT NULL,
    status VARCHAR NOT NULL CHECK (status IN ('champion', 'challenger', 'retired', 'rejected')),
    candidate VARCHAR NOT NULL,
    trained_at TIMESTAMP NOT NULL,
    snapshot VARCHAR NOT NULL,
    is_synthetic BOOLEAN NOT NULL,
    train_from TIMESTAMP NOT NULL,
    train_until TIMESTAMP NOT NULL,
    train_rows BIGINT NOT NULL,
    calibration_rows BIGINT NOT NULL,
    test_rows BIGINT NOT NULL,
    reason VARCHAR NOT NULL,
    mlflow_run_id VARCHAR NOT NULL,
    dagster_run_id VARCHAR,
    git_commit VARCHAR,
    PRIMARY KEY (model, version)
);
COMMENT ON TABLE ml.model_versions IS 'The MLflow registry as a table: one row a registered version';
COMMENT ON COLUMN ml.model_versions.model IS 'Name of the model';
COMMENT ON COLUMN ml.model_versions.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN ml.model_versions.task IS 'Kind of its answers: probability, duration or category';
COMMENT ON COLUMN ml.model_versions.status IS
    'champion: the one that is served; challenger: the newest that is not; retired: an earlier champion; '
    'rejected: lost';
COMMENT ON COLUMN ml.model_versions.candidate IS 'Kind of estimator that won the selection';
COMMENT ON COLUMN ml.model_versions.trained_at IS 'End of the training (UTC)';
COMMENT ON COLUMN ml.model_versions.snapshot IS 'Identity of the contents of the tables that it was trained on';
COMMENT ON COLUMN ml.model_versions.is_synthetic IS 'Trained on the demo source: never to be used for real decisions';
COMMENT ON COLUMN ml.model_versions.train_from IS 'Opening of the first row that the estimator was fitted to';
COMMENT ON COLUMN ml.model_versions.train_until IS 'Opening of the last one';
COMMENT ON COLUMN ml.model_versions.train_rows IS 'Rows that the estimator was fitted to';
COMMENT ON COLUMN ml.model_versions.calibration_rows IS 'Rows that the calibrator was fitted to';
COMMENT ON COLUMN ml.model_versions.test_rows IS 'Rows that it was evaluated on';
COMMENT ON COLUMN ml.model_versions.reason IS 'Why it was promoted, or was not';
COMMENT ON COLUMN ml.model_versions.mlflow_run_id IS 'MLflow run';
COMMENT ON COLUMN ml.model_versions.dagster_run_id IS 'Dagster run; NULL when trained without Dagster';
COMMENT ON COLUMN ml.model_versions.git_commit IS 'Commit of the checkout, where there is one';

-- name: retire
UPDATE ml.model_versions
SET status = CASE status WHEN 'champion' THEN 'retired' ELSE 'rejected' END
WHERE model = $model AND (($promoted AND status = 'champion') OR status = 'challenger');

-- name: record
INSERT OR REPLACE INTO ml.model_versions BY NAME
SELECT
    $model AS model, $version AS version, $task AS task,
    $status AS status, $candidate AS candidate, $trained_at AS trained_at,
    $snapshot AS snapshot, $is_synthetic AS is_synthetic,
    $train_from AS train_from, $train_until AS train_until, $train_rows AS train_rows,
    $calibration_rows AS calibration_rows, $test_rows AS test_rows, $reason AS reason,
    $mlflow_run_id AS mlflow_run_id, $dagster_run_id AS dagster_run_id, $git_commit AS git_commit;

-- name: roll_back
UPDATE ml.model_versions
SET status = CASE WHEN version = $version THEN 'champion' ELSE 'retired' END
WHERE model = $model AND (version = $version OR status = 'champion');

-- name: window
SELECT trained_at, train_from, train_until, train_rows, calibration_rows, test_rows, git_commit, snapshot
FROM ml.model_versions
WHERE model = $model AND version = $version;

-- name: metrics
SELECT metric, value, lower, upper, baseline
FROM ml.evaluations
WHERE model = $model AND version = $version AND time_window = 'test'
ORDER BY metric;

-- name: tested
SELECT label, prediction
FROM ml.test_predictions
WHERE model = $model AND version = $version AND label IS NOT NULL;
