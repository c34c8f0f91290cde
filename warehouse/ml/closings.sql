CREATE TABLE IF NOT EXISTS ml.closings (
    repo_id BIGINT, -- forge id
    number BIGINT,
    closed_at TIMESTAMP,
    state_reason VARCHAR CHECK (state_reason IN ('completed', 'not_planned', 'duplicate')),
    closed_by_id BIGINT, -- forge id
    closed_by_login VARCHAR,
    closed_by_is_bot BOOLEAN,
    received_key VARCHAR,
    received_from VARCHAR,
    PRIMARY KEY (repo_id, number, closed_at)
);
COMMENT ON TABLE ml.closings IS
    'What GitHub''s webhook said of issues when they were closed; fills in what raw.issues does not say of the very '
    'same closing';
COMMENT ON COLUMN ml.closings.repo_id IS 'Repository, also one that has not been loaded yet';
COMMENT ON COLUMN ml.closings.number IS 'Number of the issue';
COMMENT ON COLUMN ml.closings.closed_at IS 'When it was closed (UTC)';
COMMENT ON COLUMN ml.closings.state_reason IS 'Why: completed, not_planned or duplicate; NULL if it did not say';
COMMENT ON COLUMN ml.closings.closed_by_id IS 'Account that closed it; NULL if it did not say';
COMMENT ON COLUMN ml.closings.closed_by_login IS 'Login of that account';
COMMENT ON COLUMN ml.closings.closed_by_is_bot IS 'Whether a program closed it';
COMMENT ON COLUMN ml.closings.received_key IS
    'Name of the key that told: QC_WEBHOOK_SECRET signs deliveries; NULL in entries of before that was noted';
COMMENT ON COLUMN ml.closings.received_from IS 'Address that told';
