-- name: table
CREATE TABLE IF NOT EXISTS critique.log (
    batch VARCHAR NOT NULL,
    step VARCHAR NOT NULL CHECK (step IN ('filtered', 'summaries', 'diffs')),
    fingerprint VARCHAR NOT NULL,
    status VARCHAR NOT NULL CHECK (status IN ('done', 'partial', 'failed')),
    rows BIGINT NOT NULL,
    failures BIGINT NOT NULL,
    counts VARCHAR NOT NULL,
    figures VARCHAR NOT NULL,
    started_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP NOT NULL,
    error VARCHAR,
    PRIMARY KEY (batch, step)
);
COMMENT ON TABLE critique.log IS
    'The checkpoint of comment mining: a step that is done for the same comments in the same version is not done again';
COMMENT ON COLUMN critique.log.batch IS 'Batch of repositories';
COMMENT ON COLUMN critique.log.step IS 'filtered, summaries or diffs: the table that it fills';
COMMENT ON COLUMN critique.log.fingerprint IS 'Of the comments, and of the version and settings of the step';
COMMENT ON COLUMN critique.log.status IS
    'done; partial: some items failed and will be tried again; failed: nothing was written, what was there '
    'before stays';
COMMENT ON COLUMN critique.log.rows IS 'Rows written';
COMMENT ON COLUMN critique.log.failures IS 'Items that failed (ops.dead_letters, source critique)';
COMMENT ON COLUMN critique.log.counts IS 'Rows by reason or kind, as JSON';
COMMENT ON COLUMN critique.log.figures IS 'Requests, tokens, cost and the like, as JSON';
COMMENT ON COLUMN critique.log.started_at IS 'Start (UTC)';
COMMENT ON COLUMN critique.log.finished_at IS 'End (UTC)';
COMMENT ON COLUMN critique.log.error IS 'What went wrong, in words';

-- name: entry
SELECT * FROM critique.log WHERE batch = $batch AND step = $step;

-- name: forget_dead_letters
DELETE FROM ops.dead_letters WHERE source = 'critique' AND starts_with(item, $prefix);

-- name: steps
-- Every batch with its three steps, also those that have not been done.
SELECT
    batches.batch,
    steps.step,
    coalesce(log.status, 'missing') AS status,
    batches.repositories,
    log.rows,
    log.failures,
    log.finished_at,
    log.error
FROM (SELECT batch, count(*) AS repositories FROM critique.batches GROUP BY batch) AS batches
CROSS JOIN (SELECT unnest(['filtered', 'summaries', 'diffs']) AS step) AS steps
LEFT JOIN critique.log AS log ON batches.batch = log.batch AND steps.step = log.step
ORDER BY batches.batch, steps.step;

-- name: by_status
-- Batches by step and status, also those that have not been done.
SELECT
    steps.step,
    coalesce(log.status, 'missing') AS status,
    count(*) AS batches,
    coalesce(sum(log.rows), 0)::BIGINT AS rows,
    coalesce(sum(log.failures), 0)::BIGINT AS failures,
    min(log.error) AS error
FROM (SELECT DISTINCT batch FROM critique.batches) AS batches
CROSS JOIN (SELECT unnest(['filtered', 'summaries', 'diffs']) AS step) AS steps
LEFT JOIN critique.log AS log ON batches.batch = log.batch AND steps.step = log.step
GROUP BY ALL
ORDER BY ALL;
