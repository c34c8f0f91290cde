CREATE TABLE IF NOT EXISTS ops.dead_letters (
    source VARCHAR NOT NULL,
    partition_date DATE NOT NULL,
    item VARCHAR NOT NULL,
    line BIGINT CHECK (line > 0),
    error_type VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    excerpt VARCHAR,
    recorded_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE ops.dead_letters IS 'What could not be read, where it came from and why';
COMMENT ON COLUMN ops.dead_letters.source IS 'demo, gharchive or github';
COMMENT ON COLUMN ops.dead_letters.partition_date IS 'Partition that it was meant for';
COMMENT ON COLUMN ops.dead_letters.item IS 'File or endpoint';
COMMENT ON COLUMN ops.dead_letters.line IS 'Line of the file, from 1';
COMMENT ON COLUMN ops.dead_letters.error_type IS 'malformed_line, truncated_file, empty_file, not_gzip, missing_hour, …';
COMMENT ON COLUMN ops.dead_letters.reason IS 'What was wrong, in words';
COMMENT ON COLUMN ops.dead_letters.excerpt IS 'The first 200 characters of what was found';
COMMENT ON COLUMN ops.dead_letters.recorded_at IS 'When it was recorded (UTC)';
