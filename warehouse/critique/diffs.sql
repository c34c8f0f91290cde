-- name: table
CREATE TABLE IF NOT EXISTS critique.diffs (
    comment_id BIGINT PRIMARY KEY, -- forge id
    batch VARCHAR NOT NULL,
    repo_id BIGINT NOT NULL, -- forge id
    number BIGINT NOT NULL,
    path VARCHAR,
    section VARCHAR,
    hunk VARCHAR,
    line BIGINT,
    changed_afterwards BOOLEAN,
    reason VARCHAR
);
COMMENT ON TABLE critique.diffs IS
    'One row a comment that is kept: the code that it speaks of, and whether its author changed that afterwards';
COMMENT ON COLUMN critique.diffs.comment_id IS 'Review comment';
COMMENT ON COLUMN critique.diffs.batch IS 'Batch of its repository';
COMMENT ON COLUMN critique.diffs.repo_id IS 'Repository';
COMMENT ON COLUMN critique.diffs.number IS 'Pull request';
COMMENT ON COLUMN critique.diffs.path IS 'File';
COMMENT ON COLUMN critique.diffs.section IS 'What the hunk''s header names, such as a function';
COMMENT ON COLUMN critique.diffs.hunk IS 'The last lines of the hunk; the last is the one that is spoken of';
COMMENT ON COLUMN critique.diffs.line IS 'Its number';
COMMENT ON COLUMN critique.diffs.changed_afterwards IS
    'The line is not in the pull request''s last change any more; NULL if that is not known';
COMMENT ON COLUMN critique.diffs.reason IS 'Why there is no hunk; NULL if there is';

-- name: forget
DELETE FROM critique.diffs WHERE batch = $batch;
