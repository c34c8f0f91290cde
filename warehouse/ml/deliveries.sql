CREATE TABLE IF NOT EXISTS ml.deliveries (
    content VARCHAR PRIMARY KEY,
    delivery_id VARCHAR,
    event VARCHAR NOT NULL,
    action VARCHAR NOT NULL,
    repo_id BIGINT, -- forge id
    number BIGINT,
    author_id BIGINT, -- forge id
    author_login VARCHAR,
    sender_id BIGINT, -- forge id
    happened_at TIMESTAMP NOT NULL,
    received_at TIMESTAMP NOT NULL,
    facts VARCHAR NOT NULL,
    received_key VARCHAR,
    received_from VARCHAR
);
COMMENT ON TABLE ml.deliveries IS
    'What GitHub''s webhook showed of pull requests, each delivery once: an opening as it was when it happened, and '
    'what became of it';
COMMENT ON COLUMN ml.deliveries.content IS 'SHA-256 of the payload';
COMMENT ON COLUMN ml.deliveries.delivery_id IS 'GitHub''s id of the delivery, the first that it came with';
COMMENT ON COLUMN ml.deliveries.event IS 'pull_request or pull_request_review';
COMMENT ON COLUMN ml.deliveries.action IS
    'opened, ready_for_review, converted_to_draft, synchronize, edited, labeled, closed, submitted, dismissed, …';
COMMENT ON COLUMN ml.deliveries.repo_id IS 'Repository, also one that has not been loaded yet; 0 if it had no id';
COMMENT ON COLUMN ml.deliveries.number IS 'Number of the pull request';
COMMENT ON COLUMN ml.deliveries.author_id IS 'Account of its author; NULL if only the login was told';
COMMENT ON COLUMN ml.deliveries.author_login IS 'Login of its author then';
COMMENT ON COLUMN ml.deliveries.sender_id IS 'Account that did it';
COMMENT ON COLUMN ml.deliveries.happened_at IS 'When it happened (UTC)';
COMMENT ON COLUMN ml.deliveries.received_at IS 'When it came (UTC)';
COMMENT ON COLUMN ml.deliveries.facts IS
    'JSON: title, description, draft, sizes, association, labels, reviewers and times as they were, and the review';
COMMENT ON COLUMN ml.deliveries.received_key IS
    'Name of the key that sent it: QC_WEBHOOK_SECRET signs deliveries; NULL in entries of before that was noted';
COMMENT ON COLUMN ml.deliveries.received_from IS 'Address that sent it';
