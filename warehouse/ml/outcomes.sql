CREATE TABLE IF NOT EXISTS ml.outcomes (
    repo_id BIGINT DEFAULT 0, -- forge id
    repo VARCHAR,
    number BIGINT,
    event VARCHAR,
    passed BOOLEAN,
    decided_at TIMESTAMP NOT NULL,
    received_key VARCHAR,
    received_from VARCHAR,
    PRIMARY KEY (repo_id, repo, number, event)
);
COMMENT ON TABLE ml.outcomes IS
    'What GitHub''s webhook said of pull requests that were predicted; the earliest event decides, '
    'and a closing until it is undone. Models train on raw.*, not on this';
COMMENT ON COLUMN ml.outcomes.repo_id IS
    'Repository, also one that has not been loaded yet; 0 if only its name is known, until the warehouse knows that';
COMMENT ON COLUMN ml.outcomes.repo IS
    'Its name as it was delivered: owner/name, before it HOST/ if that is not github.com';
COMMENT ON COLUMN ml.outcomes.number IS 'Number of the pull request';
COMMENT ON COLUMN ml.outcomes.event IS 
    'review:ID, closed:INSTANT or reopened:INSTANT, so that the same event counts once';
COMMENT ON COLUMN ml.outcomes.passed IS 
    'The review approved, or the pull request was merged; NULL if it was opened again, which undoes earlier closings';
COMMENT ON COLUMN ml.outcomes.decided_at IS 'When (UTC)';
COMMENT ON COLUMN ml.outcomes.received_key IS
    'Name of the key that told: QC_WEBHOOK_SECRET signs deliveries; NULL in entries of before that was noted';
COMMENT ON COLUMN ml.outcomes.received_from IS 'Address that told';

-- name: identify
-- Of what was told of a name only, the repository that has the name now; what is told of it by id already is the same.
UPDATE ml.outcomes SET repo_id = named.repo_id
FROM (
    SELECT lower(ops.qualified(repo_id, name)) AS repo, min(repo_id) AS repo_id
    FROM raw.repositories
    GROUP BY ALL
    HAVING count(*) = 1
) AS named
WHERE outcomes.repo_id = 0 AND lower(outcomes.repo) = named.repo
    AND NOT EXISTS (
        SELECT 1
        FROM ml.outcomes AS by_id
        WHERE by_id.repo_id = named.repo_id AND by_id.number = outcomes.number AND by_id.event = outcomes.event
    );
