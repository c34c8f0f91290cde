-- shown by: comments
CREATE TABLE IF NOT EXISTS raw.issue_comments (
    comment_id BIGINT PRIMARY KEY, -- forge id
    repo_id BIGINT, -- forge id
    number BIGINT,
    is_on_pull_request BOOLEAN,
    author_id BIGINT, -- forge id
    author_login VARCHAR,
    author_is_bot BOOLEAN,
    author_association VARCHAR,
    body VARCHAR,
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    vanished_at TIMESTAMP,
    source VARCHAR NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    partition_date DATE NOT NULL
);
COMMENT ON TABLE raw.issue_comments IS 'One row a comment in the conversation of an issue or a pull request';
COMMENT ON COLUMN raw.issue_comments.comment_id IS 'GitHub database id of the comment';
COMMENT ON COLUMN raw.issue_comments.repo_id IS 'Repository';
COMMENT ON COLUMN raw.issue_comments.number IS 'Number of the issue or pull request';
COMMENT ON COLUMN raw.issue_comments.is_on_pull_request IS 'Whether the number is a pull request''s';
COMMENT ON COLUMN raw.issue_comments.author_id IS 'Account of the author; NULL for a deleted account';
COMMENT ON COLUMN raw.issue_comments.author_login IS 'Login of the author';
COMMENT ON COLUMN raw.issue_comments.author_is_bot IS 'Whether a program wrote it';
COMMENT ON COLUMN raw.issue_comments.author_association IS 'The author''s standing when last observed';
COMMENT ON COLUMN raw.issue_comments.body IS 'Text (Markdown)';
COMMENT ON COLUMN raw.issue_comments.created_at IS 'When it was written (UTC)';
COMMENT ON COLUMN raw.issue_comments.updated_at IS 'When it was last edited (UTC)';
COMMENT ON COLUMN raw.issue_comments.vanished_at IS
    'When a reading of its item first did not show it any more (UTC); NULL while there';
COMMENT ON COLUMN raw.issue_comments.source IS 'Source of the newest observation: demo, gharchive or github';
COMMENT ON COLUMN raw.issue_comments.observed_at IS 'When the newest observation was made (UTC)';
COMMENT ON COLUMN raw.issue_comments.partition_date IS 'Latest day of activity (UTC) on which it was observed';
