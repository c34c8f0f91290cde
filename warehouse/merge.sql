-- Loads the staged observations of one table and folds them into it, inside the caller's transaction. `staged` are
-- those whose ids can be the forge's; here they get its number.
-- {table} is a table of the raw schema, {keys} its primary key, {scope} the column that tells whose row it is;
-- all three come from the catalogue. The rest are parameters.
--
-- observed.{table} holds a row for each key, source and partition, and loading a partition again replaces its
-- rows. raw.{table} is computed from them: column by column the newest value that is not NULL. So the order of
-- loads, repetition, overlap, or deleting a partition and loading it again cannot change the outcome.

-- name: staged
CREATE OR REPLACE TEMP VIEW staged AS
SELECT * REPLACE ({placed}) FROM read_parquet(getvariable('staged_files'), union_by_name = true) WHERE {fits};

-- name: strays
SELECT count(*) FROM read_parquet(getvariable('staged_files'), union_by_name = true) WHERE NOT ({fits});

-- name: touched_staged
CREATE OR REPLACE TEMP TABLE touched AS
SELECT DISTINCT {keys} FROM staged;

-- name: touched_replaced
INSERT INTO touched
SELECT DISTINCT {keys} FROM observed.{table}
WHERE source = $source AND list_contains($days, partition_date) AND forge_number({scope}) = $forge
    AND ($everything OR {scope} IN (SELECT id FROM scope));

-- name: touched_reread
-- What hangs on an item that is read again may have vanished.
INSERT INTO touched SELECT {keys} FROM observed.{table} SEMI JOIN reread USING (repo_id, number);

-- name: give_way
-- A reading of the same day replaces an older one of the same row, and nothing else; one of the opening stays.
DELETE FROM observed.{table} AS old
USING staged AS touched
WHERE {same_key} AND old.source = $source AND old.partition_date = touched.partition_date AND {same_time}
    AND old.observed_at <= touched.observed_at;

-- name: append_newer
INSERT INTO observed.{table} BY NAME
SELECT touched.* FROM staged AS touched
WHERE NOT EXISTS (
    SELECT 1 FROM observed.{table} AS old
    WHERE {same_key} AND old.source = $source AND old.partition_date = touched.partition_date AND {same_time}
);

-- name: clear
DELETE FROM observed.{table}
WHERE source = $source AND list_contains($days, partition_date) AND forge_number({scope}) = $forge
    AND ($everything OR {scope} IN (SELECT id FROM scope));

-- name: append
INSERT INTO observed.{table} BY NAME
SELECT * FROM staged;

-- name: fold
CREATE OR REPLACE TEMP TABLE folded AS
WITH observations AS (
    SELECT
        observed.*,
        row_number() OVER (
            PARTITION BY {keys}
            ORDER BY observed_at, priority_of(source), partition_date
        ) AS recency
    FROM observed.{table} AS observed
    SEMI JOIN touched USING ({keys})
    WHERE hash({scope}) % $buckets = $bucket
)
SELECT
    {keys}, arg_max(COLUMNS(* EXCLUDE ({keys}, partition_date, recency)), recency) AS '\0',
    max(partition_date) AS partition_date
FROM observations
GROUP BY {keys};

-- name: reopen
-- NULL never overwrites a value, so a reopened item would keep the closing time of its earlier life.
UPDATE folded SET
    closed_at = NULL, closed_by_id = NULL, closed_by_login = NULL, closed_by_is_bot = NULL, closed_with = NULL
WHERE state = 'open';

-- name: surest_sizes
-- Sizes at the opening belong together, and the newest are not the surest.
UPDATE folded SET
    opened_additions = best.sizes.opened_additions,
    opened_deletions = best.sizes.opened_deletions,
    opened_changed_files = best.sizes.opened_changed_files,
    opened_commits = best.sizes.opened_commits,
    opened_sizes_from = best.sizes.opened_sizes_from,
    opened_coauthors = coalesce(best.signers, folded.opened_coauthors)
FROM (
    SELECT
        repo_id,
        number,
        arg_max(
            {
                'opened_additions': opened_additions, 'opened_deletions': opened_deletions,
                'opened_changed_files': opened_changed_files, 'opened_commits': opened_commits,
                'opened_sizes_from': opened_sizes_from
            },
            {
                'sureness': sureness_of_sizes(opened_sizes_from, source), 'observed_at': observed_at,
                'priority': priority_of(source), 'day': partition_date
            }
        ) AS sizes,
        arg_max(
            opened_coauthors,
            {
                'sureness': sureness_of_sizes(opened_sizes_from, source), 'observed_at': observed_at,
                'priority': priority_of(source), 'day': partition_date
            }
        ) AS signers
    FROM observed.pull_requests
    SEMI JOIN folded USING (repo_id, number)
    WHERE opened_additions IS NOT NULL
    GROUP BY repo_id, number
) AS best
WHERE folded.repo_id = best.repo_id AND folded.number = best.number;

-- name: mark_vanished
-- A reading of an item shows all that hangs on it, so what the next one does not show any more is gone from GitHub.
-- A reading may have given way to a newer one of the same day; what was marked by it stays marked as of then.
UPDATE folded SET vanished_at = gone.vanished_at
FROM (
    SELECT {child_keys}, min(readings.observed_at) AS vanished_at
    FROM folded AS child
    INNER JOIN (
        SELECT repo_id, number, observed_at, unread_parts FROM observed.pull_requests WHERE shows_states(source)
        UNION ALL
        SELECT repo_id, number, observed_at, unread_parts FROM observed.issues WHERE shows_states(source)
        UNION ALL
        SELECT repo_id, number, vanished_at, [] FROM raw.{table} WHERE vanished_at IS NOT NULL
    ) AS readings
        ON child.repo_id = readings.repo_id AND child.number = readings.number
        AND readings.observed_at > child.observed_at
        AND NOT list_has_any(readings.unread_parts, $parts::VARCHAR[])
    GROUP BY ALL
) AS gone
WHERE {folded_key};

-- name: vanish
DELETE FROM raw.{table} AS old
WHERE EXISTS (SELECT 1 FROM touched WHERE {same_key})
    AND NOT EXISTS (SELECT 1 FROM observed.{table} AS touched WHERE {same_key});
