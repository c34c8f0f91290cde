-- name: table
CREATE TABLE reports.appeals (
    entry VARCHAR PRIMARY KEY,
    payout VARCHAR NOT NULL,
    task_id VARCHAR,
    worker_id VARCHAR,
    d1 DECIMAL(24, 2),
    state VARCHAR NOT NULL,
    told_by VARCHAR NOT NULL,
    fact VARCHAR,
    reason VARCHAR NOT NULL,
    told_at TIMESTAMP NOT NULL,
    settled_by VARCHAR,
    settled_reason VARCHAR,
    settled_at TIMESTAMP,
    corrected_d1 DECIMAL(24, 2)
);
COMMENT ON TABLE reports.appeals IS 'Appeals against payouts: who, which fact, and what came of it';
COMMENT ON COLUMN reports.appeals.entry IS 'Journal and number of the appeal';
COMMENT ON COLUMN reports.appeals.payout IS 'Identity of the payout';
COMMENT ON COLUMN reports.appeals.task_id IS 'Pull request that it was made for';
COMMENT ON COLUMN reports.appeals.worker_id IS 'Login of the author';
COMMENT ON COLUMN reports.appeals.d1 IS 'What was paid; NULL if that was refused';
COMMENT ON COLUMN reports.appeals.state IS 'open, upheld or rejected';
COMMENT ON COLUMN reports.appeals.told_by IS 'Who appealed';
COMMENT ON COLUMN reports.appeals.fact IS 'Which fact is said to be wrong';
COMMENT ON COLUMN reports.appeals.reason IS 'Why';
COMMENT ON COLUMN reports.appeals.told_at IS 'When (UTC)';
COMMENT ON COLUMN reports.appeals.settled_by IS 'Who settled it; NULL while it is open';
COMMENT ON COLUMN reports.appeals.settled_reason IS 'Why it was settled so';
COMMENT ON COLUMN reports.appeals.settled_at IS 'When (UTC)';
COMMENT ON COLUMN reports.appeals.corrected_d1 IS 'What the correction paid; NULL if there is none';

-- name: rows
WITH settled AS (
    SELECT
        *,
        lead(state) OVER told AS settled_state,
        lead(told_by) OVER told AS settled_by,
        lead(reason) OVER told AS settled_reason,
        lead(told_at) OVER told AS settled_at
    FROM ml.appeals
    WINDOW told AS (PARTITION BY payout ORDER BY told_at, state = 'open')
),
payments AS (
    SELECT id, task_id, worker_id, d1, replaces
    FROM ml.payouts
    WHERE id IS NOT NULL
    QUALIFY row_number() OVER (PARTITION BY id ORDER BY refused IS NOT NULL, asked_at DESC) = 1
),
corrections AS (SELECT replaces, any_value(d1) AS d1 FROM payments WHERE replaces IS NOT NULL GROUP BY replaces)
SELECT
    settled.entry,
    settled.payout,
    payments.task_id,
    payments.worker_id,
    payments.d1,
    coalesce(settled.settled_state, 'open') AS state,
    settled.told_by,
    settled.fact,
    settled.reason,
    settled.told_at,
    settled.settled_by,
    settled.settled_reason,
    settled.settled_at,
    corrections.d1 AS corrected_d1
FROM settled
LEFT JOIN payments ON settled.payout = payments.id
LEFT JOIN corrections ON settled.payout = corrections.replaces
WHERE settled.state = 'open';
