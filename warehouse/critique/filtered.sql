-- name: table
CREATE TABLE IF NOT EXISTS critique.filtered (
    comment_id BIGINT PRIMARY KEY, -- forge id
    batch VARCHAR NOT NULL,
    repo_id BIGINT NOT NULL, -- forge id
    number BIGINT NOT NULL,
    thread_id BIGINT NOT NULL, -- forge id
    reason VARCHAR,
    margin DOUBLE,
    duplicate_of BIGINT, -- forge id
    version VARCHAR NOT NULL
);
COMMENT ON TABLE critique.filtered IS 'Every review comment of a batch: whether it teaches something, or why not';
COMMENT ON COLUMN critique.filtered.comment_id IS 'Review comment';
COMMENT ON COLUMN critique.filtered.batch IS 'Batch of its repository';
COMMENT ON COLUMN critique.filtered.repo_id IS 'Repository';
COMMENT ON COLUMN critique.filtered.number IS 'Pull request';
COMMENT ON COLUMN critique.filtered.thread_id IS 'First comment of its discussion';
COMMENT ON COLUMN critique.filtered.reason IS 'Why it was rejected; NULL for those that are kept';
COMMENT ON COLUMN critique.filtered.margin IS
    'Likeness to comments that teach something, less that to those that do not; NULL where a rule decided';
COMMENT ON COLUMN critique.filtered.duplicate_of IS 'The earlier comment that says the same';
COMMENT ON COLUMN critique.filtered.version IS 'Of the filter: exemplars and thresholds';

-- name: forget
DELETE FROM critique.filtered WHERE batch = $batch;

-- name: kept
SELECT comment_id, thread_id, version FROM critique.filtered WHERE batch = $batch AND reason IS NULL;
