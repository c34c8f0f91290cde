CREATE TABLE IF NOT EXISTS ops.ingest_log (
    source VARCHAR,
    repo VARCHAR,
    partition_date DATE,
    fingerprint VARCHAR NOT NULL,
    status VARCHAR NOT NULL CHECK (status IN ('done', 'partial', 'failed')),
    tables VARCHAR[] NOT NULL,
    requests BIGINT NOT NULL CHECK (requests >= 0),
    points BIGINT NOT NULL CHECK (points >= 0),
    lines BIGINT NOT NULL CHECK (lines >= 0),
    bad_lines BIGINT NOT NULL CHECK (bad_lines >= 0),
    rows BIGINT NOT NULL CHECK (rows >= 0),
    started_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP NOT NULL,
    error VARCHAR,
    PRIMARY KEY (source, repo, partition_date)
);
COMMENT ON TABLE ops.ingest_log IS 'The checkpoint: what has been fetched. A partition that is done is not fetched again unless asked to refresh';
COMMENT ON COLUMN ops.ingest_log.source IS 'demo, gharchive or github';
COMMENT ON COLUMN ops.ingest_log.repo IS 'owner/name, or * for every repository of the source';
COMMENT ON COLUMN ops.ingest_log.partition_date IS 'Day of activity (UTC)';
COMMENT ON COLUMN ops.ingest_log.fingerprint IS 'Settings of the source that decide what the day holds; other settings mean fetching again';
COMMENT ON COLUMN ops.ingest_log.status IS 'done: everything there was; partial: known gaps (see error); failed: nothing';
COMMENT ON COLUMN ops.ingest_log.tables IS 'Raw tables that were loaded';
COMMENT ON COLUMN ops.ingest_log.requests IS 'HTTP requests spent';
COMMENT ON COLUMN ops.ingest_log.points IS 'API points spent';
COMMENT ON COLUMN ops.ingest_log.lines IS 'Lines of archive files read';
COMMENT ON COLUMN ops.ingest_log.bad_lines IS 'Lines that could not be read (ops.dead_letters)';
COMMENT ON COLUMN ops.ingest_log.rows IS 'Observations loaded into all tables';
COMMENT ON COLUMN ops.ingest_log.started_at IS 'Start of the fetch (UTC)';
COMMENT ON COLUMN ops.ingest_log.finished_at IS 'End of the merge (UTC)';
COMMENT ON COLUMN ops.ingest_log.error IS 'What is missing or went wrong, in words';
