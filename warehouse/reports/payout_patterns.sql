-- name: table
CREATE TABLE reports.payout_patterns (
    pattern VARCHAR,
    worker_id VARCHAR,
    subject VARCHAR,
    count BIGINT NOT NULL,
    d1 DECIMAL(38, 2),
    first_at TIMESTAMP NOT NULL,
    last_at TIMESTAMP NOT NULL,
    detail VARCHAR NOT NULL,
    PRIMARY KEY (pattern, worker_id, subject)
);
COMMENT ON TABLE reports.payout_patterns IS
    'What gaming of payouts would look like. None of it proves anything: a person should look. Whoever opens two small '
    'pull requests a week by chance has five in some week of half a year 97 times of 100, and three in a day 76 times';
COMMENT ON COLUMN reports.payout_patterns.pattern IS
    'many_small_tasks: five or more payouts in a week for changes of at most 30 lines; probing: five or more different '
    'questions about a task before it was paid for; flipped_bucket: what was claimed of a task moved p0 into another '
    'bucket than it was paid by; split_change: three or more payouts for pull requests that were opened in one '
    'repository within a day';
COMMENT ON COLUMN reports.payout_patterns.worker_id IS 'Login of the author, in lower case';
COMMENT ON COLUMN reports.payout_patterns.subject IS 'The task, or the repository, or the first day';
COMMENT ON COLUMN reports.payout_patterns.count IS 'Payouts, or questions';
COMMENT ON COLUMN reports.payout_patterns.d1 IS 'What was paid for them in all';
COMMENT ON COLUMN reports.payout_patterns.first_at IS 'When it began (UTC)';
COMMENT ON COLUMN reports.payout_patterns.last_at IS 'When it ended (UTC)';
COMMENT ON COLUMN reports.payout_patterns.detail IS 'The numbers';

-- name: rows
WITH paid AS (
    SELECT
        lower(payouts.worker_id) AS worker_id,
        lower(payouts.task_id) AS task,
        payouts.repo_id,
        payouts.number,
        payouts.asked_at,
        payouts.d1,
        bucket_of(payouts.p0) AS bucket,
        coalesce(features.lines_changed, (payouts.inputs ->> '$.request.facts.lines_changed')::BIGINT) AS lines,
        features.opened_at
    FROM ml.payouts AS payouts
    LEFT JOIN features.pull_requests AS features
        ON payouts.repo_id = features.repo_id AND payouts.number = features.number
    WHERE payouts.refused IS NULL AND payouts.replaces IS NULL
),
weeks AS (
    SELECT
        *,
        count(*) OVER week AS tasks_in_week,
        sum(d1) OVER week AS d1_in_week,
        min(asked_at) OVER week AS since
    FROM paid
    WHERE lines <= 30
    WINDOW
        week AS (PARTITION BY worker_id ORDER BY asked_at RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT ROW)
),
days AS (
    SELECT
        *,
        count(*) OVER day AS tasks_in_day,
        sum(d1) OVER day AS d1_in_day,
        min(opened_at) OVER day AS since
    FROM paid
    WHERE opened_at IS NOT NULL
    WINDOW
        day AS (
            PARTITION BY worker_id, repo_id ORDER BY opened_at RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND CURRENT ROW
        )
),
-- What was asked about a task, but for what a payout asked itself; and refused attempts to be paid, with their claims.
asked AS (
    SELECT
        lower(task_id) AS task, repo_id, number, predicted_at AS asked_at, bucket_of(prediction) AS bucket,
        inputs -> '$.request' AS question
    FROM ml.predictions
    WHERE role = 'served' AND model = 'p0' AND task_id IS NOT NULL
        AND (inputs ->> '$.request.purpose') IS DISTINCT FROM 'payout'
        AND (inputs ->> '$.request.event') IS NULL
    UNION ALL
    SELECT
        lower(task_id), repo_id, number, asked_at, NULL,
        inputs -> '$.request.facts'
    FROM ml.payouts
    WHERE refused IS NOT NULL
),
about AS (
    SELECT paid.*, asked.asked_at AS probed_at, asked.bucket AS probed_bucket, asked.question
    FROM paid
    INNER JOIN asked
        ON asked.asked_at <= paid.asked_at
        AND (
            paid.task = asked.task
            OR (paid.repo_id <> 0 AND paid.repo_id = asked.repo_id AND paid.number = asked.number)
        )
)
SELECT
    'many_small_tasks' AS pattern,
    worker_id,
    min(since)::DATE::VARCHAR AS subject,
    max(tasks_in_week) AS count,
    max(d1_in_week) AS d1,
    min(since) AS first_at,
    max(asked_at) AS last_at,
    max(tasks_in_week) || ' payouts in a week for changes of at most 30 lines' AS detail
FROM weeks
WHERE tasks_in_week >= 5
GROUP BY worker_id
UNION ALL
SELECT
    'split_change', worker_id, repo_id::VARCHAR, max(tasks_in_day), max(d1_in_day), min(since), max(opened_at),
    max(tasks_in_day) || ' pull requests of one day in one repository were paid for'
FROM days
WHERE tasks_in_day >= 3
GROUP BY worker_id, repo_id
UNION ALL
SELECT
    'probing', worker_id, task, count(DISTINCT question), any_value(d1), min(probed_at), max(asked_at),
    count(DISTINCT question) || ' different questions before it was paid for'
FROM about
GROUP BY worker_id, task
HAVING count(DISTINCT question) >= 5
UNION ALL
SELECT
    'flipped_bucket', worker_id, task, count(DISTINCT question), any_value(d1), min(probed_at), max(asked_at),
    'asked about as ' || string_agg(DISTINCT probed_bucket, ', ') || ', paid for as ' || any_value(bucket)
FROM about
WHERE probed_bucket <> bucket
GROUP BY worker_id, task;
