CREATE TABLE IF NOT EXISTS ml.payouts (
    entry VARCHAR PRIMARY KEY,
    payout_id VARCHAR,
    asked_at TIMESTAMP NOT NULL,
    task_id VARCHAR NOT NULL,
    worker_id VARCHAR NOT NULL,
    repo_id BIGINT NOT NULL, -- forge id
    number BIGINT NOT NULL,
    version INTEGER NOT NULL,
    is_synthetic BOOLEAN NOT NULL,
    beta DECIMAL(7, 6) NOT NULL,
    p0 DECIMAL(7, 6) NOT NULL,
    p0_lower DECIMAL(7, 6),
    p0_upper DECIMAL(7, 6),
    value DECIMAL(20, 6) NOT NULL,
    d1 DECIMAL(24, 2),
    refused VARCHAR,
    allowed VARCHAR[] NOT NULL,
    inputs VARCHAR NOT NULL,
    id VARCHAR,
    facts_from VARCHAR CHECK (facts_from IN ('warehouse', 'delivery', 'claims')),
    claimed VARCHAR[],
    origin VARCHAR,
    reasons VARCHAR,
    run_id VARCHAR,
    model_hash VARCHAR,
    snapshot VARCHAR,
    as_of TIMESTAMP,
    replaces VARCHAR,
    correction VARCHAR,
    received_key VARCHAR,
    received_from VARCHAR,
    hash VARCHAR
);
COMMENT ON TABLE ml.payouts IS
    'Every payout that was asked for: what was paid or why it was refused, and all that it was computed from';
COMMENT ON COLUMN ml.payouts.entry IS 'Journal and number of the entry';
COMMENT ON COLUMN ml.payouts.payout_id IS 'Identity that the caller gave, so that one payout is made once';
COMMENT ON COLUMN ml.payouts.asked_at IS 'When (UTC)';
COMMENT ON COLUMN ml.payouts.task_id IS 'As it was asked, owner/name#number if it is known';
COMMENT ON COLUMN ml.payouts.worker_id IS 'Login of the author';
COMMENT ON COLUMN ml.payouts.repo_id IS 'Repository; 0 if the warehouse does not know it';
COMMENT ON COLUMN ml.payouts.number IS 'Pull request; 0 if the task does not say';
COMMENT ON COLUMN ml.payouts.version IS 'Version of p0 that answered';
COMMENT ON COLUMN ml.payouts.is_synthetic IS 'It was trained on the demo source: this is no real payout';
COMMENT ON COLUMN ml.payouts.beta IS 'Share, 0 to 1';
COMMENT ON COLUMN ml.payouts.p0 IS 'Probability, rounded to six decimals before it was used';
COMMENT ON COLUMN ml.payouts.p0_lower IS
    'Lower end of the interval of p0; NULL where the version has none. It changes no payout';
COMMENT ON COLUMN ml.payouts.p0_upper IS 'Upper end of it';
COMMENT ON COLUMN ml.payouts.value IS 'V, in any currency';
COMMENT ON COLUMN ml.payouts.d1 IS 'beta × p0 × value, rounded to two decimals, half to even; NULL if it was refused';
COMMENT ON COLUMN ml.payouts.refused IS 'Why nothing was paid; NULL if it was';
COMMENT ON COLUMN ml.payouts.allowed IS 'What the caller allowed: uncertain, outdated';
COMMENT ON COLUMN ml.payouts.inputs IS 'JSON: the request, and the features that the model was given';
COMMENT ON COLUMN ml.payouts.id IS 'Identity: the payout_id, or one that was made; NULL in older entries';
COMMENT ON COLUMN ml.payouts.facts_from IS
    'Who says what p0 was asked about: the warehouse, a signed delivery, or the caller (claims); NULL in older '
    'entries, where the caller could say anything';
COMMENT ON COLUMN ml.payouts.claimed IS 'What nobody but the caller says of the pull request';
COMMENT ON COLUMN ml.payouts.origin IS
    'Who made the pull request, as it was known: person, assisted, agent, automation; NULL if nobody knew';
COMMENT ON COLUMN ml.payouts.reasons IS 'JSON: what moved p0 most, and what it would be if one thing were as is usual';
COMMENT ON COLUMN ml.payouts.run_id IS 'MLflow run of the version that answered';
COMMENT ON COLUMN ml.payouts.model_hash IS 'SHA-256 over the files of that version';
COMMENT ON COLUMN ml.payouts.snapshot IS 'Identity of the data that it was trained on';
COMMENT ON COLUMN ml.payouts.as_of IS 'End of the data in which facts were looked up (UTC)';
COMMENT ON COLUMN ml.payouts.replaces IS 'Identity of the payout that this one corrects';
COMMENT ON COLUMN ml.payouts.correction IS 'Why it was corrected';
COMMENT ON COLUMN ml.payouts.received_key IS 'Name of the key that asked; NULL where none is needed';
COMMENT ON COLUMN ml.payouts.received_from IS 'Address that asked';
COMMENT ON COLUMN ml.payouts.hash IS
    'Of the entry in the journal, over all that it holds and the hash of the entry before; NULL in older entries';

-- name: known
-- All that is known of a pull request: its features as of its opening, its texts, and how it ended.
SELECT
    features.*,
    coalesce(features.exclusion IS DISTINCT FROM 'opening_not_observed', false) AND features.repo_id IS NOT NULL
        AS has_opening,
    texts.opened_title,
    texts.opened_body,
    texts.author_id AS opened_by,
    lower(texts.author_login) AS author,
    texts.closed_at AS ended_at,
    texts.updated_at,
    texts.state = 'open' AS is_open,
    texts.is_draft
FROM raw.pull_requests AS texts
LEFT JOIN features.pull_requests AS features
    ON texts.repo_id = features.repo_id AND texts.number = features.number
WHERE texts.repo_id = $repo_id AND texts.number = $number;

-- name: paid
-- What was paid for a task and stands, whatever the journal has: it may have been lost, or put back from an older copy.
SELECT *, NULL AS replaced_by, NULL AS appeals
FROM ml.payouts
WHERE
    refused IS NULL
    AND (
        (repo_id = $repo_id AND number = $number AND repo_id <> 0)
        OR (list_contains($names, lower(task_id)) AND (repo_id = 0 OR $repo_id IN (0, repo_id)))
    )
ORDER BY asked_at DESC, entry DESC
LIMIT 1;

-- name: asked_for
-- A payout by its identity: the payment, else the last refusal.
SELECT
    *,
    (
        SELECT arg_max(corrections.id, corrections.asked_at)
        FROM ml.payouts AS corrections
        WHERE corrections.replaces = payouts.id AND corrections.refused IS NULL AND payouts.refused IS NULL
    ) AS replaced_by,
    (
        SELECT
            list(
                {'state': state, 'told_by': told_by, 'fact': fact, 'reason': reason, 'told_at': told_at}
                ORDER BY told_at, state = 'open'
            )
        FROM ml.appeals
        WHERE ml.appeals.payout = payouts.id
    ) AS appeals
FROM ml.payouts AS payouts
WHERE $identity IN (id, payout_id, entry)
ORDER BY refused IS NULL DESC, asked_at DESC, entry DESC
LIMIT 1;

-- name: elsewhere
-- Payments by other journals than these, which may be lost.
SELECT asked_at, task_id, repo_id, number, refused, replaces, coalesce(id, payout_id, entry) AS id
FROM ml.payouts
WHERE refused IS NULL AND NOT list_contains($journals, split_part(entry, ':', 1))
ORDER BY asked_at, entry;

-- name: red
-- Promises about p0 that the version that answers broke.
SELECT promise, detail FROM ml.checks WHERE model = 'p0' AND version = $version AND blocks AND NOT passed
UNION ALL
SELECT gate, detail FROM ml.gates WHERE model = 'p0' AND version = $version AND blocks AND NOT passed
ORDER BY ALL;
