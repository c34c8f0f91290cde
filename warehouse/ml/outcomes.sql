CREATE TABLE IF NOT EXISTS ml.outcomes (
    repo VARCHAR,
    number BIGINT,
    event VARCHAR,
    passed BOOLEAN NOT NULL,
    decided_at TIMESTAMP NOT NULL,
    PRIMARY KEY (repo, number, event)
);
COMMENT ON TABLE ml.outcomes IS
    'What GitHub''s webhook said of pull requests that were predicted; the earliest event decides. Models train '
    'on raw.*, not on this';
COMMENT ON COLUMN ml.outcomes.repo IS 'owner/name, before it HOST/ if that is not github.com';
COMMENT ON COLUMN ml.outcomes.number IS 'Number of the pull request';
COMMENT ON COLUMN ml.outcomes.event IS 'review:ID or closed:INSTANT, so that the same event counts once';
COMMENT ON COLUMN ml.outcomes.passed IS 'The review approved, or the pull request was merged';
COMMENT ON COLUMN ml.outcomes.decided_at IS 'When (UTC)';
