-- The raw tables as data sets of the files source; ids are the forge's own.

-- name: forges
-- With when the last loaded day ended; an extraction may have ended within it.
SELECT
    forge_number, forge, is_synthetic,
    (
        SELECT least(max(partition_date)::TIMESTAMP + INTERVAL 1 DAY, max(watched_until))
        FROM (
            SELECT partition_date, watched_until FROM raw.repositories WHERE forge_number(repo_id) = forge_number
            UNION ALL
            SELECT partition_date, NULL FROM raw.pull_requests WHERE forge_number(repo_id) = forge_number
            UNION ALL
            SELECT partition_date, NULL FROM raw.issues WHERE forge_number(repo_id) = forge_number
        ) AS rows
    ) AS ends_at
FROM ops.forges
WHERE ends_at IS NOT NULL
ORDER BY forge;

-- name: rows
SELECT {columns} FROM raw.{table} WHERE forge_number({id}) = $forge

-- name: repositories
-- With the time for which its history is whole, which is none where it is not covered.
SELECT
    * EXCLUDE (watched_from, watched_until),
    coalesce(covered_from, partition_date::TIMESTAMP) AS watched_from,
    coalesce(covered_until, partition_date::TIMESTAMP) AS watched_until
FROM (SELECT {columns}, repo_id AS whole_id FROM raw.repositories WHERE forge_number(repo_id) = $forge) AS own
LEFT JOIN (
    SELECT repo_id AS covered_id, max(covered_from) AS covered_from, max(covered_until) AS covered_until
    FROM ops.coverage
    WHERE is_covered
    GROUP BY repo_id
) AS coverage ON own.whole_id = coverage.covered_id
