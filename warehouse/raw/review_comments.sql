-- shown by: reviewThreads, threadComments
CREATE TABLE IF NOT EXISTS raw.review_comments (
    comment_id BIGINT PRIMARY KEY, -- forge id
    repo_id BIGINT, -- forge id
    number BIGINT,
    review_id BIGINT, -- forge id
    in_reply_to_id BIGINT, -- forge id
    author_id BIGINT, -- forge id
    author_login VARCHAR,
    author_is_bot BOOLEAN,
    author_association VARCHAR,
    path VARCHAR,
    diff_hunk VARCHAR,
    body VARCHAR,
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    vanished_at TIMESTAMP,
    source VARCHAR NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    partition_date DATE NOT NULL
);
COMMENT ON TABLE raw.review_comments IS 'One row a comment on a line of a pull request''s diff';
COMMENT ON COLUMN raw.review_comments.comment_id IS 'GitHub database id of the comment';
COMMENT ON COLUMN raw.review_comments.repo_id IS 'Repository of the pull request';
COMMENT ON COLUMN raw.review_comments.number IS 'Number of the pull request';
COMMENT ON COLUMN raw.review_comments.review_id IS 'Review that it belongs to, where the source tells';
COMMENT ON COLUMN raw.review_comments.in_reply_to_id IS 'Comment that it answers';
COMMENT ON COLUMN raw.review_comments.author_id IS 'Account of the author; NULL for a deleted account';
COMMENT ON COLUMN raw.review_comments.author_login IS 'Login of the author';
COMMENT ON COLUMN raw.review_comments.author_is_bot IS 'Whether a program wrote it';
COMMENT ON COLUMN raw.review_comments.author_association IS 'The author''s standing when last observed';
COMMENT ON COLUMN raw.review_comments.path IS 'File that it speaks of';
COMMENT ON COLUMN raw.review_comments.diff_hunk IS 'Hunk of the diff that it speaks of';
COMMENT ON COLUMN raw.review_comments.body IS 'Text (Markdown)';
COMMENT ON COLUMN raw.review_comments.created_at IS 'When it was written (UTC)';
COMMENT ON COLUMN raw.review_comments.updated_at IS 'When it was last edited (UTC)';
COMMENT ON COLUMN raw.review_comments.vanished_at IS
    'When a reading of its item first did not show it any more (UTC); NULL while there';
COMMENT ON COLUMN raw.review_comments.source IS 'Source of the newest observation: demo, gharchive or github';
COMMENT ON COLUMN raw.review_comments.observed_at IS 'When the newest observation was made (UTC)';
COMMENT ON COLUMN raw.review_comments.partition_date IS 'Latest day of activity (UTC) on which it was observed';
