CREATE TABLE IF NOT EXISTS ml.model_versions (
    model VARCHAR,
    version INTEGER,
    task VARCHAR NOT NULL,
    status VARCHAR NOT NULL CHECK (status IN ('champion', 'challenger', 'retired', 'rejected', 'removed')),
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
COMMENT ON TABLE ml.model_versions IS
    'The MLflow registry as a table, made again from it when they differ: one row a registered version';
COMMENT ON COLUMN ml.model_versions.model IS 'Name of the model';
COMMENT ON COLUMN ml.model_versions.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN ml.model_versions.task IS 'Kind of its answers: probability, duration or category';
COMMENT ON COLUMN ml.model_versions.status IS
    'champion: the one that is served; challenger: the newest that is not; retired: an earlier champion; '
    'rejected: lost; removed: not in MLflow any more';
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

-- name: of_model
FROM ml.model_versions WHERE model = $model ORDER BY version;

-- name: set_status
UPDATE ml.model_versions
SET status = $status
WHERE model = $model AND version = $version AND status <> $status;

-- name: window
SELECT trained_at, train_from, train_until, train_rows, calibration_rows, test_rows, git_commit, snapshot
FROM ml.model_versions
WHERE model = $model AND version = $version;

-- name: metrics
SELECT metric, value, lower, upper, baseline, reason
FROM ml.evaluations
WHERE model = $model AND version = $version AND time_window = 'test'
ORDER BY metric;

-- name: tested
SELECT label, prediction
FROM ml.test_predictions
WHERE model = $model AND version = $version AND label IS NOT NULL;

-- name: with_failed_gates
SELECT
    versions.version,
    versions.mlflow_run_id,
    (
        SELECT string_agg(gates.gate, ', ' ORDER BY gates.gate)
        FROM ml.gates AS gates
        WHERE
            gates.model = versions.model AND gates.version = versions.version AND gates.blocks AND NOT gates.passed
    ) AS failed
FROM ml.model_versions AS versions
WHERE versions.model = $model AND versions.is_synthetic = $is_synthetic AND versions.status <> 'removed'
ORDER BY versions.version;
