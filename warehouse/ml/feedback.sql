CREATE TABLE IF NOT EXISTS ml.feedback (
    feedback_id VARCHAR PRIMARY KEY,
    model VARCHAR NOT NULL,
    kind VARCHAR NOT NULL CHECK (kind IN ('category', 'outcome', 'override')),
    repo_id BIGINT, -- forge id
    number BIGINT,
    comment_id BIGINT DEFAULT 0, -- forge id
    label VARCHAR NOT NULL,
    reason VARCHAR,
    given_by VARCHAR NOT NULL,
    given_at TIMESTAMP NOT NULL,
    arrival BIGINT,
    received_at TIMESTAMP,
    received_key VARCHAR,
    received_from VARCHAR
);
COMMENT ON TABLE ml.feedback IS
    'What people said the right answer is; kept apart from predictions, and never made from them';
COMMENT ON COLUMN ml.feedback.feedback_id IS 'Identity, so that the same feedback counts once';
COMMENT ON COLUMN ml.feedback.model IS 'Model that it is about';
COMMENT ON COLUMN ml.feedback.kind IS
    'category or outcome: the truth, which models train on; override: a decision that a person replaced, which '
    'they do not';
COMMENT ON COLUMN ml.feedback.repo_id IS 'Repository';
COMMENT ON COLUMN ml.feedback.number IS 'Number of the pull request or issue';
COMMENT ON COLUMN ml.feedback.comment_id IS 'Review comment; 0 where the pull request or issue itself is meant';
COMMENT ON COLUMN ml.feedback.label IS
    'The right answer: a category; passed or failed; closed or open; hours; or the action that was taken';
COMMENT ON COLUMN ml.feedback.reason IS 'Why, in the words of who gave it';
COMMENT ON COLUMN ml.feedback.given_by IS 'Who said so, in the words of the caller';
COMMENT ON COLUMN ml.feedback.given_at IS 'When, in the words of the caller (UTC); the newest of a key counts';
COMMENT ON COLUMN ml.feedback.received_at IS 'When it came (UTC); NULL in older entries';
COMMENT ON COLUMN ml.feedback.received_key IS
    'Name of the key that sent it; NULL where none is needed, and then it confirms nothing';
COMMENT ON COLUMN ml.feedback.received_from IS 'Address that sent it';
COMMENT ON COLUMN ml.feedback.arrival IS
    'As which it came into the warehouse, in the order of the journal: of the same instant the last counts. '
    'NULL: of before that was counted, and earlier than all';

-- name: newest
SELECT repo_id, number, comment_id, label, given_at, received_key, confirmed, disputed
FROM newest_feedback('ml.feedback', $model, $kind);
