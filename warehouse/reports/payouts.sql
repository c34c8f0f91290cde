-- name: table
CREATE TABLE reports.payouts (
    entry VARCHAR PRIMARY KEY,
    payout_id VARCHAR,
    asked_at TIMESTAMP NOT NULL,
    task_id VARCHAR NOT NULL,
    worker_id VARCHAR NOT NULL,
    version INTEGER NOT NULL,
    is_synthetic BOOLEAN NOT NULL,
    beta DECIMAL(7, 6) NOT NULL,
    p0 DECIMAL(7, 6) NOT NULL,
    p0_lower DECIMAL(7, 6),
    p0_upper DECIMAL(7, 6),
    value DECIMAL(20, 6) NOT NULL,
    d1 DECIMAL(24, 2),
    d1_lower DECIMAL(24, 2),
    d1_upper DECIMAL(24, 2),
    recomputed_d1 DECIMAL(24, 2) NOT NULL,
    adds_up BOOLEAN NOT NULL,
    refused VARCHAR,
    facts_from VARCHAR,
    claimed VARCHAR[],
    origin VARCHAR,
    origin_agent VARCHAR,
    origin_sender VARCHAR,
    replaces VARCHAR,
    replaced_by VARCHAR,
    appeal VARCHAR,
    received_key VARCHAR,
    passed BOOLEAN
);
COMMENT ON TABLE reports.payouts IS
    'Payouts and refusals, each computed once more in SQL, with what became of the pull request';
COMMENT ON COLUMN reports.payouts.entry IS 'Journal and number of the entry';
COMMENT ON COLUMN reports.payouts.payout_id IS 'Identity that the caller gave';
COMMENT ON COLUMN reports.payouts.asked_at IS 'When (UTC)';
COMMENT ON COLUMN reports.payouts.task_id IS 'As it was asked';
COMMENT ON COLUMN reports.payouts.worker_id IS 'Login of the author';
COMMENT ON COLUMN reports.payouts.version IS 'Version of p0 that answered';
COMMENT ON COLUMN reports.payouts.is_synthetic IS 'It was trained on the demo source: this is no real payout';
COMMENT ON COLUMN reports.payouts.beta IS 'Share, 0 to 1';
COMMENT ON COLUMN reports.payouts.p0 IS 'Probability';
COMMENT ON COLUMN reports.payouts.p0_lower IS 'Lower end of the interval of p0; NULL where there is none';
COMMENT ON COLUMN reports.payouts.p0_upper IS 'Upper end of it';
COMMENT ON COLUMN reports.payouts.value IS 'V';
COMMENT ON COLUMN reports.payouts.d1 IS 'What was paid; NULL if it was refused';
COMMENT ON COLUMN reports.payouts.d1_lower IS 'beta × p0_lower × value: it informs, and is not paid';
COMMENT ON COLUMN reports.payouts.d1_upper IS 'beta × p0_upper × value';
COMMENT ON COLUMN reports.payouts.recomputed_d1 IS 'beta × p0 × value by SQL';
COMMENT ON COLUMN reports.payouts.adds_up IS 'Both are the same, or nothing was paid';
COMMENT ON COLUMN reports.payouts.refused IS 'Why nothing was paid';
COMMENT ON COLUMN reports.payouts.facts_from IS
    'warehouse, delivery, or claims: nobody but the caller; NULL in entries of before facts decided';
COMMENT ON COLUMN reports.payouts.claimed IS 'What nobody but the caller says of the pull request';
COMMENT ON COLUMN reports.payouts.origin IS
    'Who made the pull request, as it was known when it was asked: person, assisted, agent, automation';
COMMENT ON COLUMN reports.payouts.origin_agent IS 'Whose agent or assistant, as the warehouse knows now';
COMMENT ON COLUMN reports.payouts.origin_sender IS 'Who had it made, as the warehouse knows now';
COMMENT ON COLUMN reports.payouts.replaces IS 'Identity of the payout that this one corrects';
COMMENT ON COLUMN reports.payouts.replaced_by IS 'Identity of the payout that corrects this one, which counts instead';
COMMENT ON COLUMN reports.payouts.appeal IS 'Where the last appeal against it stands: open, upheld or rejected';
COMMENT ON COLUMN reports.payouts.received_key IS 'Name of the key that asked';
COMMENT ON COLUMN reports.payouts.passed IS
    'What people said last, else how the first review ended, else what the webhook saw; NULL while it is open';

-- name: rows
WITH reopenings AS (
    SELECT repo_id, repo, number, decided_at AS reopened_at FROM ml.outcomes WHERE passed IS NULL
    UNION ALL
    SELECT repo_id, NULL, number, updated_at FROM raw.pull_requests WHERE state = 'open'
),
-- A closing counts until the pull request is open again.
standing AS (
    SELECT outcomes.*
    FROM ml.outcomes AS outcomes
    WHERE outcomes.passed IS NOT NULL AND NOT (
        starts_with(outcomes.event, 'closed:') AND EXISTS (
            SELECT 1
            FROM reopenings
            WHERE reopenings.number = outcomes.number AND reopenings.reopened_at > outcomes.decided_at
                AND CASE
                    WHEN 0 IN (reopenings.repo_id, outcomes.repo_id) THEN reopenings.repo = outcomes.repo
                    ELSE reopenings.repo_id = outcomes.repo_id
                END
        )
    )
),
webhook_by_name AS (
    SELECT repo || '#' || number AS task_id, arg_min(passed, {'t': decided_at, 'e': event}) AS passed
    FROM standing
    GROUP BY repo, number
),
webhook_without_id AS (
    SELECT repo || '#' || number AS task_id, arg_min(passed, {'t': decided_at, 'e': event}) AS passed
    FROM standing
    WHERE repo_id = 0
    GROUP BY repo, number
),
webhook_by_id AS (
    SELECT repo_id, number, arg_min(passed, {'t': decided_at, 'e': event}) AS passed
    FROM standing
    WHERE repo_id <> 0
    GROUP BY repo_id, number
),
-- A label that is newer than its reopening, or no closing's.
labels AS (
    SELECT features.repo_id, features.number, features.passed
    FROM features.pull_requests AS features
    WHERE features.decided_by_verdict OR features.passed_by = 'feedback' OR NOT EXISTS (
        SELECT 1
        FROM reopenings
        WHERE reopenings.repo_id = features.repo_id AND reopenings.number = features.number
            AND reopenings.reopened_at > features.closed_at
    )
),
computed AS (SELECT *, payout(beta, p0, value) AS recomputed_d1 FROM ml.payouts),
corrections AS (
    SELECT replaces, arg_max(id, asked_at) AS replaced_by
    FROM ml.payouts
    WHERE replaces IS NOT NULL AND refused IS NULL
    GROUP BY replaces
),
appeals AS (SELECT payout, arg_max(state, told_at) AS state FROM ml.appeals GROUP BY payout)
SELECT
    payouts.entry,
    payouts.payout_id,
    payouts.asked_at,
    payouts.task_id,
    payouts.worker_id,
    payouts.version,
    payouts.is_synthetic,
    payouts.beta,
    payouts.p0,
    payouts.p0_lower,
    payouts.p0_upper,
    payouts.value,
    payouts.d1,
    payout(payouts.beta, payouts.p0_lower, payouts.value) AS d1_lower,
    payout(payouts.beta, payouts.p0_upper, payouts.value) AS d1_upper,
    payouts.recomputed_d1,
    payouts.d1 IS NULL OR payouts.d1 = payouts.recomputed_d1 AS adds_up,
    payouts.refused,
    payouts.facts_from,
    payouts.claimed,
    payouts.origin,
    features.origin_agent,
    features.origin_sender,
    payouts.replaces,
    corrections.replaced_by,
    appeals.state AS appeal,
    payouts.received_key,
    coalesce(labels.passed, by_id.passed, by_name.passed, as_asked.passed, as_then_named.passed) AS passed
FROM computed AS payouts
LEFT JOIN features.pull_requests AS features
    ON payouts.repo_id = features.repo_id AND payouts.number = features.number
LEFT JOIN labels ON payouts.repo_id = labels.repo_id AND payouts.number = labels.number
LEFT JOIN corrections ON payouts.id = corrections.replaces AND payouts.refused IS NULL
LEFT JOIN appeals ON payouts.id = appeals.payout
LEFT JOIN raw.repositories AS repositories ON payouts.repo_id = repositories.repo_id
LEFT JOIN webhook_by_id AS by_id ON payouts.repo_id = by_id.repo_id AND payouts.number = by_id.number
-- Names change hands: they decide only where one of the two has no id. A task without a host is one of the server's own
-- forge, and the webhook says which that is.
LEFT JOIN webhook_without_id AS by_name
    ON ops.qualified(payouts.repo_id, repositories.name) || '#' || payouts.number = by_name.task_id
LEFT JOIN webhook_by_name AS as_asked ON payouts.repo_id = 0 AND payouts.task_id = as_asked.task_id
LEFT JOIN webhook_without_id AS as_then_named
    ON payouts.task_id = as_then_named.task_id AND forge_number(payouts.repo_id) IN (0, -1);
