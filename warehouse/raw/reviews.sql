-- shown by: reviews
CREATE TABLE IF NOT EXISTS raw.reviews (
    review_id BIGINT PRIMARY KEY, -- forge id
    repo_id BIGINT, -- forge id
    number BIGINT,
    author_id BIGINT, -- forge id
    author_login VARCHAR,
    author_is_bot BOOLEAN,
    author_association VARCHAR,
    state VARCHAR CHECK (state IN ('APPROVED', 'CHANGES_REQUESTED', 'COMMENTED', 'DISMISSED', 'PENDING')),
    submitted_state VARCHAR CHECK (submitted_state IN ('APPROVED', 'CHANGES_REQUESTED', 'COMMENTED')),
    body VARCHAR,
    submitted_at TIMESTAMP,
    vanished_at TIMESTAMP,
    source VARCHAR NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    partition_date DATE NOT NULL
);
COMMENT ON TABLE raw.reviews IS 'One row a submitted review of a pull request';
COMMENT ON COLUMN raw.reviews.review_id IS 'GitHub database id of the review';
COMMENT ON COLUMN raw.reviews.repo_id IS 'Repository of the pull request';
COMMENT ON COLUMN raw.reviews.number IS 'Number of the pull request';
COMMENT ON COLUMN raw.reviews.author_id IS 'Account of the reviewer; NULL for a deleted account';
COMMENT ON COLUMN raw.reviews.author_login IS 'Login of the reviewer';
COMMENT ON COLUMN raw.reviews.author_is_bot IS 'Whether a program reviewed';
COMMENT ON COLUMN raw.reviews.author_association IS 'The reviewer''s standing when last observed';
COMMENT ON COLUMN raw.reviews.state IS 'State when last observed; a review may be DISMISSED later';
COMMENT ON COLUMN raw.reviews.submitted_state IS
    'Verdict as submitted: a later dismissal does not change what the first review said';
COMMENT ON COLUMN raw.reviews.body IS 'Text of the review';
COMMENT ON COLUMN raw.reviews.submitted_at IS 'When it was submitted (UTC)';
COMMENT ON COLUMN raw.reviews.vanished_at IS
    'When a reading of its item first did not show it any more (UTC); NULL while there';
COMMENT ON COLUMN raw.reviews.source IS 'Source of the newest observation: demo, gharchive or github';
COMMENT ON COLUMN raw.reviews.observed_at IS 'When the newest observation was made (UTC)';
COMMENT ON COLUMN raw.reviews.partition_date IS 'Latest day of activity (UTC) on which it was observed';
