CREATE TABLE IF NOT EXISTS raw.files (
    repo_id BIGINT, -- forge id
    number BIGINT,
    path VARCHAR,
    change VARCHAR CHECK (change IN ('added', 'removed', 'modified', 'renamed', 'copied', 'changed')),
    additions BIGINT CHECK (additions >= 0),
    deletions BIGINT CHECK (deletions >= 0),
    source VARCHAR NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    partition_date DATE NOT NULL,
    PRIMARY KEY (repo_id, number, path)
);
COMMENT ON TABLE raw.files IS
    'One row a file that a pull request changed when it was opened; what was pushed later is not here. Whether a pull '
    'request''s files were read at all says raw.pull_requests.opened_files_from';
COMMENT ON COLUMN raw.files.repo_id IS 'Repository';
COMMENT ON COLUMN raw.files.number IS 'Number of the pull request';
COMMENT ON COLUMN raw.files.path IS 'Path within the repository, as strangers wrote it; at most 4,096 characters';
COMMENT ON COLUMN raw.files.change IS 'What the commits of the opening, taken together, did to it';
COMMENT ON COLUMN raw.files.additions IS 'Lines added to it';
COMMENT ON COLUMN raw.files.deletions IS 'Lines deleted of it';
COMMENT ON COLUMN raw.files.source IS 'Source of the newest observation';
COMMENT ON COLUMN raw.files.observed_at IS 'When the newest observation was made (UTC)';
COMMENT ON COLUMN raw.files.partition_date IS 'Latest day of activity (UTC) on which it was observed';
