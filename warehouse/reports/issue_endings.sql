-- name: table
CREATE TABLE reports.issue_endings (
    is_synthetic BOOLEAN,
    repo VARCHAR,
    ending VARCHAR,
    days INTEGER,
    cumulative_incidence DOUBLE NOT NULL,
    issues BIGINT NOT NULL,
    PRIMARY KEY (is_synthetic, repo, ending, days)
);
COMMENT ON TABLE reports.issue_endings IS
    'How issues end: the share that has ended in each way so many days after the opening, by repository and in all; '
    'open issues count for as long as they were watched (Aalen and Johansen, 1978)';
COMMENT ON COLUMN reports.issue_endings.is_synthetic IS 'Whether the issues are made up';
COMMENT ON COLUMN reports.issue_endings.repo IS 'Name of the repository, or all';
COMMENT ON COLUMN reports.issue_endings.ending IS 'completed, not_planned, duplicate or stale (features.issues.ending)';
COMMENT ON COLUMN reports.issue_endings.days IS 'Days since the opening';
COMMENT ON COLUMN reports.issue_endings.cumulative_incidence IS
    'Share of issues that have ended so by then; with the others of the same day, and those still open, it makes 1';
COMMENT ON COLUMN reports.issue_endings.issues IS 'Issues that this is based on';

-- name: rows
WITH watched AS (
    SELECT
        is_synthetic(issues.source, issues.repo_id) AS is_synthetic,
        unnest([coalesce(ops.qualified(issues.repo_id, repositories.name), issues.repo_id::VARCHAR), 'all']) AS repo,
        CASE WHEN issues.closed_at <= issues.observed_until THEN issues.ending END AS ending,
        epoch(least(issues.closed_at, issues.observed_until) - issues.opened_at) / 86400 AS t
    FROM features.issues AS issues
    LEFT JOIN raw.repositories AS repositories ON issues.repo_id = repositories.repo_id
    WHERE issues.exclusion IS NULL
),
instants AS (
    SELECT
        is_synthetic,
        repo,
        t,
        count(ending) AS ended,
        count_if(ending = 'completed') AS completed,
        count_if(ending = 'not_planned') AS not_planned,
        count_if(ending = 'duplicate') AS duplicate,
        count_if(ending = 'stale') AS stale,
        sum(count(*)) OVER (
            PARTITION BY is_synthetic, repo ORDER BY t ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
        ) AS at_risk
    FROM watched
    GROUP BY is_synthetic, repo, t
),
-- Who is still open just before an instant may end there in one of the ways.
steps AS (
    SELECT
        *,
        coalesce(
            product(1 - ended / at_risk) OVER (
                PARTITION BY is_synthetic, repo ORDER BY t ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ),
            1
        ) AS open_before,
        max(at_risk) OVER (PARTITION BY is_synthetic, repo) AS issues,
        max(t) OVER (PARTITION BY is_synthetic, repo) AS watched_days
    FROM instants
),
endings AS (
    UNPIVOT (SELECT * EXCLUDE (ended) FROM steps) ON completed, not_planned, duplicate, stale INTO NAME ending VALUE n
)
SELECT
    endings.is_synthetic,
    endings.repo,
    endings.ending,
    horizons.days,
    coalesce(sum(endings.open_before * endings.n / endings.at_risk) FILTER (endings.t <= horizons.days), 0)
        AS cumulative_incidence,
    any_value(endings.issues)::BIGINT AS issues
FROM endings
CROSS JOIN (VALUES (1), (7), (30), (90), (365)) AS horizons (days)
WHERE endings.watched_days >= horizons.days
GROUP BY endings.is_synthetic, endings.repo, endings.ending, horizons.days;
