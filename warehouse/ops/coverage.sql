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
COMMENT ON COLUMN ops.coverage.covered_from IS
    'Start of the latest unbroken run of partitions that miss nothing, or little enough (UTC)';
COMMENT ON COLUMN ops.coverage.covered_until IS 'End of that run, exclusive: nothing later has been observed (UTC)';
COMMENT ON COLUMN ops.coverage.seen IS 'Pull requests and issues opened in the window that were seen';
COMMENT ON COLUMN ops.coverage.expected IS 'How many numbers were given out between the first and the last of them';
COMMENT ON COLUMN ops.coverage.completeness IS
    'Smallest of the shares of numbers seen, of closed items whose opening was seen (of an incomplete source), and of '
    'input that was there; NULL if there is nothing to measure';
COMMENT ON COLUMN ops.coverage.is_covered IS
    'For an incomplete source, such as gharchive, or one that nobody knows: whether completeness reaches the '
    'limit; for one that shows states, such as github: whether the run reaches up to the day it was read on; '
    'always for the others';

-- name: rows
WITH days AS (
    -- A source may tell of later days only in part, and these never count: since 2025-10-07 the archive's hours miss
    -- most of what a pull request is. A day with gaps counts where numbers can tell what it misses.
    SELECT
        source, repo, repo_id, repo_ids, partition_date, max(finished_at) AS read_at,
        bool_or(status = 'done') AS is_whole,
        max(CASE WHEN status = 'done' THEN 1 ELSE share_read END) AS share_read
    FROM ops.ingest_log
    WHERE (status = 'done' OR status = 'partial' AND share_read > 0 AND NOT is_complete(source))
        AND list_has_all(tables, ['pull_requests', 'reviews', 'issues', 'label_events'])
        AND partition_date <= last_whole_day(source)
    GROUP BY source, repo, repo_id, repo_ids, partition_date
),
repositories AS (
    SELECT
        source, repo_id, ops.qualified(repo_id, arg_max(name, observed_at)) AS name,
        ops.qualified(repo_id, '*') AS everything,
        arg_max(watched_from, observed_at) AS watched_from, arg_max(watched_until, observed_at) AS watched_until
    FROM observed.repositories
    GROUP BY source, repo_id
),
-- Days loaded for every repository form runs once; only repositories loaded by name need runs of their own. Where the
-- source follows names, a day was read for the ids that were known, and not for whoever has the name now.
repo_days AS (
    SELECT
        days.source, repositories.repo_id, days.partition_date, max(days.read_at) AS read_at,
        bool_or(is_whole) AS is_whole, max(share_read) AS share_read,
        any_value(watched_from) AS watched_from, any_value(watched_until) AS watched_until
    FROM days
    INNER JOIN repositories
        ON days.source = repositories.source
        AND (
            days.repo_id = repositories.repo_id
            OR list_contains(days.repo_ids, repositories.repo_id)
            OR days.repo_id IS NULL AND days.repo_ids IS NULL
            AND days.repo IN (repositories.name, repositories.everything)
        )
    WHERE days.partition_date >= coalesce(watched_from::DATE, days.partition_date)
        AND days.partition_date < coalesce(watched_until, 'infinity'::TIMESTAMP)
    GROUP BY days.source, repositories.repo_id, days.partition_date
),
items AS (
    SELECT repo_id, number, created_at, closed_at, opened_title FROM raw.pull_requests
    UNION ALL
    SELECT repo_id, number, created_at, closed_at, opened_title FROM raw.issues
),
-- When numbers were given out that were not seen.
gaps AS (
    SELECT repo_id, lag(created_at) OVER numbers AS began_at, created_at AS ended_at
    FROM items
    WINDOW numbers AS (PARTITION BY repo_id ORDER BY number)
    QUALIFY number - lag(number) OVER numbers > 1
),
ranges AS (
    SELECT repo_id, min(created_at) AS first_at, max(created_at) AS last_at
    FROM items
    GROUP BY repo_id
),
-- What a day may miss: 0 nothing; 1 nothing, as numbers on both sides tell; 2 something; 3 an hour at the edge of what
-- was seen, of which no number tells.
doubts AS (
    SELECT
        days.source, days.repo_id, days.partition_date,
        CASE
            WHEN coalesce(
                first_at < days.partition_date AND last_at >= days.partition_date + INTERVAL 1 DAY, false
            ) THEN CASE WHEN count(gaps.repo_id) = 0 THEN 1 ELSE 2 END
            WHEN any_value(share_read) < 1 THEN 3
            ELSE 2
        END AS doubt
    FROM repo_days AS days
    LEFT JOIN ranges ON days.repo_id = ranges.repo_id
    LEFT JOIN gaps
        ON days.repo_id = gaps.repo_id
        AND gaps.began_at < days.partition_date + INTERVAL 1 DAY AND gaps.ended_at >= days.partition_date
    WHERE NOT is_whole
    GROUP BY days.source, days.repo_id, days.partition_date, first_at, last_at
),
doubtful_days AS (
    SELECT days.*, coalesce(doubt, 0) AS doubt
    FROM repo_days AS days
    LEFT JOIN doubts
        ON days.source = doubts.source AND days.repo_id = doubts.repo_id AND days.partition_date = doubts.partition_date
),
tolerances AS (SELECT DISTINCT source, repo_id, doubt AS tolerance FROM doubtful_days),
runs AS (
    SELECT
        days.*, tolerance,
        partition_date - row_number() OVER (
            PARTITION BY days.source, days.repo_id, tolerance ORDER BY partition_date
        )::INTEGER AS run
    FROM doubtful_days AS days
    INNER JOIN tolerances
        ON days.source = tolerances.source AND days.repo_id = tolerances.repo_id AND doubt <= tolerance
),
windows AS (
    SELECT
        source, repo_id, tolerance,
        greatest((min(partition_date) FILTER (doubt < 3))::TIMESTAMP, any_value(watched_from)) AS covered_from,
        least((max(partition_date) FILTER (doubt < 3))::TIMESTAMP + INTERVAL 1 DAY, any_value(watched_until))
            AS covered_until,
        avg(share_read) AS share_read,
        max(read_at) AS read_at
    FROM runs
    GROUP BY source, repo_id, tolerance, run
    HAVING covered_until > covered_from
    QUALIFY row_number() OVER (PARTITION BY source, repo_id, tolerance ORDER BY max(partition_date) DESC) = 1
),
measured AS (
    SELECT
        windows.source,
        windows.repo_id,
        tolerance,
        count(items.number) AS seen,
        coalesce(max(items.number) - min(items.number) + 1, 0) AS expected,
        count(items.opened_title) FILTER (items.closed_at < covered_until) AS closed_with_opening,
        count(items.number) FILTER (items.closed_at < covered_until) AS closed
    FROM windows
    LEFT JOIN items
        ON windows.repo_id = items.repo_id AND items.created_at >= covered_from AND items.created_at < covered_until
    GROUP BY windows.source, windows.repo_id, tolerance
),
judged AS (
    SELECT
        windows.*, seen, expected,
        CASE
            WHEN expected > 0
                THEN least(
                    seen / expected,
                    -- Of a complete source, a title of the opening is not missing for want of the opening.
                    coalesce(
                        CASE WHEN NOT is_complete(windows.source) THEN closed_with_opening / nullif(closed, 0) END, 1
                    ),
                    coalesce(share_read, 1)
                )
        END AS completeness
    FROM windows
    INNER JOIN measured
        ON windows.source = measured.source AND windows.repo_id = measured.repo_id
        AND windows.tolerance = measured.tolerance
)
SELECT
    source, repo_id, covered_from, covered_until, seen, expected, completeness,
    CASE
        WHEN NOT is_complete(source) THEN coalesce(completeness >= $min_archive_completeness, false)
        -- A source of states shows an item on the day of its last update only. Unless the days reach up to when they
        -- were read, whatever was updated later is missing: the busy ones, so that the rest is no fair sample.
        -- In the first hour of a day the one before has not settled and is left for a later reading.
        WHEN shows_states(source) THEN covered_until >= date_trunc('day', read_at - INTERVAL 1 HOUR)
        ELSE true
    END AS is_covered
FROM judged
QUALIFY row_number() OVER (
    PARTITION BY source, repo_id ORDER BY is_covered DESC, covered_until DESC, covered_from, tolerance
) = 1;

-- name: summary
SELECT
    source, count(*) AS repositories, count(*) FILTER (is_covered) AS covered, min(covered_from) AS covered_from,
    max(covered_until) AS covered_until, round(avg(completeness), 4) AS mean_completeness
FROM ops.coverage
GROUP BY source
ORDER BY source;
