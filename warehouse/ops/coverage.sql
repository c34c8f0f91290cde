-- name: table
CREATE TABLE IF NOT EXISTS ops.coverage (
    source VARCHAR,
    repo_id BIGINT, -- forge id
    covered_from TIMESTAMP NOT NULL,
    covered_until TIMESTAMP NOT NULL CHECK (covered_until > covered_from),
    seen BIGINT NOT NULL,
    expected BIGINT NOT NULL,
    completeness DOUBLE,
    is_covered BOOLEAN NOT NULL,
    PRIMARY KEY (source, repo_id)
);
COMMENT ON TABLE ops.coverage IS 'For which time a repository''s history is whole; models train on nothing else';
COMMENT ON COLUMN ops.coverage.source IS 'demo, gharchive or github';
COMMENT ON COLUMN ops.coverage.repo_id IS 'Repository';
COMMENT ON COLUMN ops.coverage.covered_from IS 'Start of the latest unbroken run of complete partitions (UTC)';
COMMENT ON COLUMN ops.coverage.covered_until IS 'End of that run, exclusive: nothing later has been observed (UTC)';
COMMENT ON COLUMN ops.coverage.seen IS 'Pull requests and issues opened in the window that were seen';
COMMENT ON COLUMN ops.coverage.expected IS 'How many numbers were given out between the first and the last of them';
COMMENT ON COLUMN ops.coverage.completeness IS
    'Smaller of the share of numbers seen and the share of closed items whose opening was seen; NULL if there '
    'is nothing to measure';
COMMENT ON COLUMN ops.coverage.is_covered IS
    'For an incomplete source, such as gharchive, or one that nobody knows: whether completeness reaches the '
    'limit; for one that shows states, such as github: whether the run reaches up to the day it was read on; '
    'always for the others';

-- name: rows
WITH days AS (
    -- A source may tell of later days only in part, and these never count: since 2025-10-07 the archive's hours miss
    -- most of what a pull request is.
    SELECT source, repo, repo_id, partition_date, max(finished_at) AS read_at
    FROM ops.ingest_log
    WHERE status = 'done' AND list_has_all(tables, ['pull_requests', 'reviews', 'issues', 'label_events'])
        AND partition_date <= last_whole_day(source)
    GROUP BY source, repo, repo_id, partition_date
),
repositories AS (
    SELECT
        source, repo_id, ops.qualified(repo_id, arg_max(name, observed_at)) AS name,
        ops.qualified(repo_id, '*') AS everything,
        arg_max(watched_from, observed_at) AS watched_from, arg_max(watched_until, observed_at) AS watched_until
    FROM observed.repositories
    GROUP BY source, repo_id
),
-- Days loaded for every repository form runs once; only repositories loaded by name need runs of their own.
repo_days AS (
    SELECT
        days.source, repositories.repo_id, days.partition_date, max(days.read_at) AS read_at,
        any_value(watched_from) AS watched_from, any_value(watched_until) AS watched_until
    FROM days
    INNER JOIN repositories
        ON days.source = repositories.source
        AND (
            days.repo_id = repositories.repo_id
            OR days.repo_id IS NULL AND days.repo IN (repositories.name, repositories.everything)
        )
    WHERE days.partition_date >= coalesce(watched_from::DATE, days.partition_date)
        AND days.partition_date < coalesce(watched_until, 'infinity'::TIMESTAMP)
    GROUP BY days.source, repositories.repo_id, days.partition_date
),
runs AS (
    SELECT
        source, repo_id, partition_date, read_at, watched_from, watched_until,
        partition_date - row_number() OVER (PARTITION BY source, repo_id ORDER BY partition_date)::INTEGER AS run
    FROM repo_days
),
windows AS (
    SELECT
        source, repo_id,
        greatest(min(partition_date)::TIMESTAMP, any_value(watched_from)) AS covered_from,
        least(max(partition_date)::TIMESTAMP + INTERVAL 1 DAY, any_value(watched_until)) AS covered_until,
        max(read_at) AS read_at
    FROM runs
    GROUP BY source, repo_id, run
    HAVING covered_until > covered_from
    QUALIFY row_number() OVER (PARTITION BY source, repo_id ORDER BY max(partition_date) DESC) = 1
),
items AS (
    SELECT repo_id, number, created_at, closed_at, opened_title FROM raw.pull_requests
    UNION ALL
    SELECT repo_id, number, created_at, closed_at, opened_title FROM raw.issues
),
measured AS (
    SELECT
        windows.source,
        windows.repo_id,
        count(items.number) AS seen,
        coalesce(max(items.number) - min(items.number) + 1, 0) AS expected,
        count(items.opened_title) FILTER (items.closed_at < covered_until) AS closed_with_opening,
        count(items.number) FILTER (items.closed_at < covered_until) AS closed
    FROM windows
    LEFT JOIN items
        ON windows.repo_id = items.repo_id AND items.created_at >= covered_from AND items.created_at < covered_until
    GROUP BY windows.source, windows.repo_id
),
shares AS (
    SELECT
        *,
        CASE WHEN expected > 0 THEN least(seen / expected, coalesce(closed_with_opening / nullif(closed, 0), 1)) END
            AS completeness
    FROM measured
)
SELECT
    windows.source, windows.repo_id, covered_from, covered_until, seen, expected, completeness,
    CASE
        WHEN NOT is_complete(windows.source) THEN coalesce(completeness >= $min_archive_completeness, false)
        -- A source of states shows an item on the day of its last update only. Unless the days reach up to when they
        -- were read, whatever was updated later is missing: the busy ones, so that the rest is no fair sample.
        -- In the first hour of a day the one before has not settled and is left for a later reading.
        WHEN shows_states(windows.source) THEN covered_until >= date_trunc('day', windows.read_at - INTERVAL 1 HOUR)
        ELSE true
    END AS is_covered
FROM windows
INNER JOIN shares ON windows.source = shares.source AND windows.repo_id = shares.repo_id;

-- name: summary
SELECT
    source, count(*) AS repositories, count(*) FILTER (is_covered) AS covered, min(covered_from) AS covered_from,
    max(covered_until) AS covered_until, round(avg(completeness), 4) AS mean_completeness
FROM ops.coverage
GROUP BY source
ORDER BY source;
