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
    received_from VARCHAR,
    set_aside VARCHAR CHECK (set_aside IN ('over_daily_limit', 'distrusted'))
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
COMMENT ON COLUMN ml.feedback.set_aside IS
    'Why it counts for no label and confirms none, though it is kept: over_daily_limit, of those that one key may give '
    'a day (QC_FEEDBACK_PER_DAY); distrusted, its key was (qc keys revoke --distrust). NULL: it counts';

-- name: judge
-- What counts, decided anew for all feedback: limits and trust may have changed. Of a day the first of a key count, by
-- our clock and in the order of arrival; what came before that was noted has no limit. Overrides are no labels.
CREATE OR REPLACE TEMP TABLE judged_feedback AS
SELECT
    given.feedback_id,
    CASE
        WHEN trust.key_name IS NOT NULL THEN 'distrusted'
        WHEN given.kind <> 'override' AND given.received_at IS NOT NULL AND row_number() OVER (
            PARTITION BY
                coalesce(given.received_key, ''), given.received_at::DATE, given.kind = 'override',
                trust.key_name IS NOT NULL
            ORDER BY coalesce(given.arrival, 0), given.received_at, given.feedback_id
        ) > $per_day THEN 'over_daily_limit'
    END AS set_aside
FROM ml.feedback AS given
LEFT JOIN distrusted_keys AS trust
    ON given.received_key = trust.key_name
    AND given.received_at BETWEEN trust.distrusted_from AND trust.distrusted_until;

-- name: set_aside
UPDATE ml.feedback SET set_aside = judged_feedback.set_aside
FROM judged_feedback
WHERE feedback.feedback_id = judged_feedback.feedback_id
    AND feedback.set_aside IS DISTINCT FROM judged_feedback.set_aside;

-- name: givers
-- What each key gave, and what of it counts; received_key is empty where no key was needed.
SELECT
    coalesce(received_key, '') AS received_key,
    model,
    count(*) AS given,
    count(*) FILTER (set_aside IS NULL) AS counting,
    count(*) FILTER (set_aside = 'over_daily_limit') AS over_daily_limit,
    count(*) FILTER (set_aside = 'distrusted') AS distrusted,
    max(received_at) AS last_received_at
FROM ml.feedback
GROUP BY ALL
ORDER BY over_daily_limit + distrusted DESC, given DESC, received_key, model;

-- name: newest
SELECT repo_id, number, comment_id, label, given_at, received_key, arrival, confirmed, disputed
FROM newest_feedback('ml.feedback', $model, $kind);
