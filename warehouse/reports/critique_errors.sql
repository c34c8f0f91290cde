-- name: table
CREATE TABLE reports.critique_errors (
    batch VARCHAR NOT NULL,
    step VARCHAR NOT NULL,
    error_type VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    items BIGINT NOT NULL,
    tries BIGINT,
    example VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    last_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE reports.critique_errors IS 'What failed on the way to critiques, of all batches';
COMMENT ON COLUMN reports.critique_errors.batch IS 'Batch of repositories';
COMMENT ON COLUMN reports.critique_errors.step IS
    'ingest: reading its repositories; filtered, summaries, diffs: the steps of mining';
COMMENT ON COLUMN reports.critique_errors.error_type IS
    'Kind of error; step_failed: the step itself, what it had written before stays';
COMMENT ON COLUMN reports.critique_errors.action IS 'What was done about it in the end';
COMMENT ON COLUMN reports.critique_errors.items IS 'Items that failed like this';
COMMENT ON COLUMN reports.critique_errors.tries IS 'How often they were tried, in all';
COMMENT ON COLUMN reports.critique_errors.example IS 'One of them';
COMMENT ON COLUMN reports.critique_errors.reason IS 'Why it failed';
COMMENT ON COLUMN reports.critique_errors.last_at IS 'When that last happened (UTC)';

-- name: rows
WITH letters AS (
    SELECT
        split_part(item, '/', 1) AS batch,
        split_part(item, '/', 2) AS step,
        split_part(item, '/', 3) AS example,
        error_type,
        action,
        tries,
        reason,
        recorded_at
    FROM ops.dead_letters
    WHERE source = 'critique'
),
reading AS (
    SELECT
        batches.batch,
        'ingest' AS step,
        letters.item AS example,
        letters.error_type,
        letters.action,
        letters.tries,
        letters.reason,
        letters.recorded_at
    FROM ops.dead_letters AS letters
    INNER JOIN raw.repositories AS repositories
        ON letters.repo = ops.qualified(repositories.repo_id, repositories.name)
    INNER JOIN critique.batches AS batches ON repositories.repo_id = batches.repo_id
    WHERE letters.source <> 'critique'
),
failed AS (
    SELECT
        batch, step, step AS example, 'step_failed' AS error_type, 'what was there before stays' AS action, 1 AS tries,
        coalesce(error, '') AS reason, finished_at AS recorded_at
    FROM critique.log
    WHERE status = 'failed'
)
SELECT
    batch,
    step,
    error_type,
    action,
    count(*) AS items,
    sum(tries)::BIGINT AS tries,
    min_by(example, recorded_at) AS example,
    min_by(reason, recorded_at) AS reason,
    max(recorded_at) AS last_at
FROM (FROM letters UNION ALL BY NAME FROM reading UNION ALL BY NAME FROM failed)
GROUP BY batch, step, error_type, action
ORDER BY batch, step, items DESC, error_type, action;

-- name: by_type
SELECT
    step, error_type, action, sum(items)::BIGINT AS items, count(DISTINCT batch) AS batches, any_value(reason) AS reason
FROM reports.critique_errors
GROUP BY ALL
ORDER BY items DESC, step, error_type;
