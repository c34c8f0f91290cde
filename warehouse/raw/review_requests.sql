-- shown by: timelineItems, ReviewRequestedEvent, ReviewRequestRemovedEvent
CREATE TABLE IF NOT EXISTS raw.review_requests (
    repo_id BIGINT, -- forge id
    number BIGINT,
    reviewer_login VARCHAR,
    reviewer_id BIGINT, -- forge id
    is_team BOOLEAN,
    action VARCHAR CHECK (action IN ('requested', 'removed')),
    requested_by_id BIGINT, -- forge id
    requested_by_login VARCHAR,
    created_at TIMESTAMP,
    vanished_at TIMESTAMP,
    source VARCHAR NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    partition_date DATE NOT NULL,
    PRIMARY KEY (repo_id, number, reviewer_login, action, created_at)
);
COMMENT ON TABLE raw.review_requests IS
    'One row each time somebody was asked to review a pull request, or was not asked any more';
COMMENT ON COLUMN raw.review_requests.repo_id IS 'Repository';
COMMENT ON COLUMN raw.review_requests.number IS 'Number of the pull request';
COMMENT ON COLUMN raw.review_requests.reviewer_login IS
    'Login of who was asked, OWNER/TEAM of a team; ghost for a deleted account, empty if the source does not tell';
COMMENT ON COLUMN raw.review_requests.reviewer_id IS 'Account that was asked; NULL for a team or a deleted account';
COMMENT ON COLUMN raw.review_requests.is_team IS 'Whether a team was asked';
COMMENT ON COLUMN raw.review_requests.action IS 'requested, or removed: the request was taken back';
COMMENT ON COLUMN raw.review_requests.requested_by_id IS
    'Account that asked; the author''s for code owners, whom the forge asks';
COMMENT ON COLUMN raw.review_requests.requested_by_login IS 'Login of that account';
COMMENT ON COLUMN raw.review_requests.created_at IS 'When it happened (UTC)';
COMMENT ON COLUMN raw.review_requests.vanished_at IS
    'When a reading of its item first did not show it any more (UTC); NULL while there';
COMMENT ON COLUMN raw.review_requests.source IS 'Source of the newest observation';
COMMENT ON COLUMN raw.review_requests.observed_at IS 'When the newest observation was made (UTC)';
COMMENT ON COLUMN raw.review_requests.partition_date IS 'Latest day of activity (UTC) on which it was observed';
