CREATE TABLE IF NOT EXISTS ops.dead_letters (
    source VARCHAR NOT NULL,
    partition_date DATE NOT NULL,
    item VARCHAR NOT NULL,
    repo VARCHAR,
    line BIGINT CHECK (line > 0),
    error_type VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    excerpt VARCHAR,
    endpoint VARCHAR,
    status INTEGER,
    tries INTEGER CHECK (tries > 0),
    action VARCHAR NOT NULL,
    recorded_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE ops.dead_letters IS 'What could not be read or worked on, where it came from and why';
COMMENT ON COLUMN ops.dead_letters.source IS 'demo, gharchive or github; critique for comment mining';
COMMENT ON COLUMN ops.dead_letters.partition_date IS
    'Partition that it was meant for; for critique the day it was recorded';
COMMENT ON COLUMN ops.dead_letters.item IS
    'File, repository, pull request or issue, or a part of one; for critique BATCH/STEP/ITEM';
COMMENT ON COLUMN ops.dead_letters.repo IS 
    'Repository (owner/name, before it HOST/ if that is not github.com), where the source is read by repository';
COMMENT ON COLUMN ops.dead_letters.line IS 'Line of the file, from 1';
COMMENT ON COLUMN ops.dead_letters.error_type IS
    'malformed_line, oversized_line, impossible_time, truncated_file, empty_file, missing_hour, transient, refused, …';
COMMENT ON COLUMN ops.dead_letters.reason IS 'What was wrong, in words';
COMMENT ON COLUMN ops.dead_letters.excerpt IS 'The first 200 characters of what was found';
COMMENT ON COLUMN ops.dead_letters.endpoint IS 'What was asked of the API';
COMMENT ON COLUMN ops.dead_letters.status IS 'Last HTTP status; NULL if there was no answer';
COMMENT ON COLUMN ops.dead_letters.tries IS 'How often it was asked';
COMMENT ON COLUMN ops.dead_letters.action IS 'What was done about it in the end';
COMMENT ON COLUMN ops.dead_letters.recorded_at IS 'When it was recorded (UTC)';
