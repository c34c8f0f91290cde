-- name: table
CREATE TABLE reports.weekly_activity (
    week DATE,
    is_synthetic BOOLEAN,
    prs_opened BIGINT NOT NULL,
    prs_landed BIGINT NOT NULL,
    reviews BIGINT NOT NULL,
    issues_opened BIGINT NOT NULL,
    issues_closed BIGINT NOT NULL,
    pass_rate DOUBLE,
    PRIMARY KEY (week, is_synthetic)
);
COMMENT ON TABLE reports.weekly_activity IS 'Volume and pass rate by week: where drift shows first';
COMMENT ON COLUMN reports.weekly_activity.week IS 'Monday of the week (UTC)';
COMMENT ON COLUMN reports.weekly_activity.is_synthetic IS 'Whether it is the demo''s activity';
COMMENT ON COLUMN reports.weekly_activity.prs_opened IS 'Pull requests opened';
COMMENT ON COLUMN reports.weekly_activity.prs_landed IS
    'Pull requests that landed, whether the forge calls that merged or closed';
COMMENT ON COLUMN reports.weekly_activity.reviews IS 'Reviews submitted';
COMMENT ON COLUMN reports.weekly_activity.issues_opened IS 'Issues opened';
COMMENT ON COLUMN reports.weekly_activity.issues_closed IS 'Issues closed';
COMMENT ON COLUMN reports.weekly_activity.pass_rate IS
    'Share of the week''s pull requests that passed, of those that p0 may train on; NULL where all are too young';

-- name: rows
WITH happened AS (
    SELECT created_at AS t, is_synthetic(source, repo_id) AS is_synthetic, 'prs_opened' AS what FROM raw.pull_requests
    UNION ALL
    SELECT landed_at, is_synthetic(source, repo_id), 'prs_landed' FROM features.pull_requests
    UNION ALL
    SELECT submitted_at, is_synthetic(source, repo_id), 'reviews' FROM raw.reviews
    UNION ALL
    SELECT created_at, is_synthetic(source, repo_id), 'issues_opened' FROM raw.issues
    UNION ALL
    SELECT closed_at, is_synthetic(source, repo_id), 'issues_closed' FROM raw.issues
),
counts AS (
    SELECT
        date_trunc('week', t)::DATE AS week,
        is_synthetic,
        count(*) FILTER (what = 'prs_opened') AS prs_opened,
        count(*) FILTER (what = 'prs_landed') AS prs_landed,
        count(*) FILTER (what = 'reviews') AS reviews,
        count(*) FILTER (what = 'issues_opened') AS issues_opened,
        count(*) FILTER (what = 'issues_closed') AS issues_closed
    FROM happened
    WHERE t IS NOT NULL
    GROUP BY 1, 2
),
rates AS (
    SELECT
        date_trunc('week', opened_at)::DATE AS week,
        is_synthetic(source, repo_id) AS is_synthetic,
        avg(passed) AS pass_rate
    FROM analysis.pull_requests
    WHERE is_used
    GROUP BY 1, 2
)
SELECT counts.*, rates.pass_rate
FROM counts
LEFT JOIN rates ON counts.week = rates.week AND counts.is_synthetic = rates.is_synthetic;
