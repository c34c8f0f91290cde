-- name: table
CREATE TABLE IF NOT EXISTS ops.ingest_log (
    source VARCHAR,
    repo VARCHAR,
    repo_id BIGINT, -- forge id
    partition_date DATE,
    fingerprint VARCHAR NOT NULL,
    status VARCHAR NOT NULL CHECK (status IN ('done', 'partial', 'failed')),
    tables VARCHAR[] NOT NULL,
    requests BIGINT NOT NULL CHECK (requests >= 0),
    points BIGINT NOT NULL CHECK (points >= 0),
    lines BIGINT NOT NULL CHECK (lines >= 0),
    bad_lines BIGINT NOT NULL CHECK (bad_lines >= 0),
    rows BIGINT NOT NULL CHECK (rows >= 0),
    started_at TIMESTAMP NOT NULL,
    finished_at TIMESTAMP NOT NULL,
    error VARCHAR,
    inputs VARCHAR[],
    repo_ids BIGINT[],
    share_read DOUBLE CHECK (share_read BETWEEN 0 AND 1),
    PRIMARY KEY (source, repo, partition_date)
);
COMMENT ON TABLE ops.ingest_log IS
    'The checkpoint: what has been fetched. A partition that is done is not fetched again unless asked to refresh';
COMMENT ON COLUMN ops.ingest_log.source IS 'demo, gharchive or github';
COMMENT ON COLUMN ops.ingest_log.repo IS 
    'owner/name, or * for every repository of the source; before it HOST/ if that is not github.com';
COMMENT ON COLUMN ops.ingest_log.repo_id IS 'Its id, which a rename keeps; NULL where it is not known';
COMMENT ON COLUMN ops.ingest_log.partition_date IS 'Day of activity (UTC)';
COMMENT ON COLUMN ops.ingest_log.fingerprint IS
    'Settings of the source that decide what the day holds; other settings mean fetching again';
COMMENT ON COLUMN ops.ingest_log.status IS
    'done: everything there was; partial: known gaps (see error); failed: nothing';
COMMENT ON COLUMN ops.ingest_log.tables IS 'Raw tables that were loaded';
COMMENT ON COLUMN ops.ingest_log.requests IS 'HTTP requests spent';
COMMENT ON COLUMN ops.ingest_log.points IS 'API points spent';
COMMENT ON COLUMN ops.ingest_log.lines IS 'Lines of archive files read';
COMMENT ON COLUMN ops.ingest_log.bad_lines IS 'Lines that could not be read (ops.dead_letters)';
COMMENT ON COLUMN ops.ingest_log.rows IS 'Observations loaded into all tables';
COMMENT ON COLUMN ops.ingest_log.started_at IS 'Start of the fetch (UTC)';
COMMENT ON COLUMN ops.ingest_log.finished_at IS 'End of the merge (UTC)';
COMMENT ON COLUMN ops.ingest_log.error IS 'What is missing or went wrong, in words';
COMMENT ON COLUMN ops.ingest_log.inputs IS
    'Files that were read, each with size and time of change: where these are others now, the day is read again';
COMMENT ON COLUMN ops.ingest_log.repo_ids IS
    'Ids that the day was read for, whatever they were called on it, where a source follows names; NULL elsewhere';
COMMENT ON COLUMN ops.ingest_log.share_read IS
    'How much of the input there was, from 0 to 1; NULL where it is not known';

-- name: days_read
-- What was loaded with the same settings, for everything that is asked: what was loaded for all holds for each.
WITH asked AS (SELECT unnest($repos::VARCHAR[]) AS repo)
SELECT log.partition_date, asked.repo, log.repo = $all AS is_for_all, log.status, log.inputs, log.repo_ids
FROM asked
INNER JOIN ops.ingest_log AS log ON log.repo = asked.repo OR log.repo = $all
WHERE log.source = $source AND log.fingerprint = $fingerprint AND log.status <> 'failed'
    AND list_has_all(log.tables, $tables::VARCHAR[]) AND list_contains($days::DATE[], log.partition_date);

-- name: days_held
-- Days that need no fetching, by repository.
SELECT repo, partition_date, own_id(repo_id) AS repo_id
FROM ops.ingest_log
WHERE source = $source AND fingerprint = $fingerprint AND status = 'done'
    AND list_contains($repos::VARCHAR[], repo) AND list_has_all(tables, $tables::VARCHAR[]);

-- name: days_held_by_id
-- The same by the forge's own ids, whatever the repositories were called.
SELECT own_id(repo_id) AS repo_id, partition_date
FROM ops.ingest_log
WHERE source = $source AND fingerprint = $fingerprint AND status = 'done'
    AND list_contains($ids::BIGINT[], own_id(repo_id)) AND list_has_all(tables, $tables::VARCHAR[]);

-- name: leave_name
-- What was read of a repository keeps its days when its name is given to another: o/r becomes o/r@ID.
UPDATE ops.ingest_log AS log
SET repo = log.repo || '@' || own_id(log.repo_id)
FROM (SELECT unnest($repos::VARCHAR[]) AS repo, unnest($repo_ids::BIGINT[]) AS repo_id) AS named
WHERE log.source = $source AND log.repo = named.repo AND log.repo_id <> named.repo_id;

-- name: follow_name
UPDATE ops.ingest_log AS log
SET repo = named.repo
FROM (SELECT unnest($repos::VARCHAR[]) AS repo, unnest($repo_ids::BIGINT[]) AS repo_id) AS named
WHERE log.source = $source AND log.repo_id = named.repo_id AND log.repo <> named.repo
    AND NOT list_contains($repos::VARCHAR[], log.repo)
    AND NOT EXISTS (
        SELECT 1 FROM ops.ingest_log AS other
        WHERE other.source = $source AND other.repo = named.repo AND other.partition_date = log.partition_date
    );

-- name: entries
-- What is recorded of a load. Tables loaded earlier with the same settings still hold; the cost of a batch is shared
-- between its rows, so that sums hold.
CREATE OR REPLACE TEMP TABLE entries AS
WITH entries AS (
    SELECT
        repos.repo, repos.repo_id, days.day,
        row_number() OVER (ORDER BY repos.repo, days.day) AS nth,
        count(*) OVER () AS n
    FROM (SELECT unnest($repos::VARCHAR[]) AS repo, unnest($repo_ids::BIGINT[]) AS repo_id) AS repos
    CROSS JOIN (SELECT unnest($days::DATE[]) AS day) AS days
)
SELECT
    $source AS source,
    entries.repo,
    entries.repo_id,
    entries.day AS partition_date,
    $fingerprint AS fingerprint,
    $status AS status,
    list_sort(list_distinct(list_concat($tables::VARCHAR[], coalesce(
        (
            SELECT old.tables FROM ops.ingest_log AS old
            WHERE old.source = $source AND old.repo = entries.repo AND old.partition_date = entries.day
                AND old.fingerprint = $fingerprint AND old.status <> 'failed'
        ),
        []::VARCHAR[]
    )))) AS tables,
    $requests // n + (nth <= $requests % n)::BIGINT AS requests,
    $points // n + (nth <= $points % n)::BIGINT AS points,
    $lines // n + (nth <= $lines % n)::BIGINT AS lines,
    $bad_lines // n + (nth <= $bad_lines % n)::BIGINT AS bad_lines,
    $rows // n + (nth <= $rows % n)::BIGINT AS rows,
    $started::TIMESTAMP AS started_at,
    $finished::TIMESTAMP AS finished_at,
    $error AS error
FROM entries;

-- name: record_input
-- What the days of a source of files were read from.
UPDATE ops.ingest_log AS log
SET inputs = $inputs::VARCHAR[], share_read = $share_read, repo_ids = read_for.repo_ids
FROM (SELECT unnest($repos::VARCHAR[]) AS repo, unnest($repo_ids::BIGINT[][]) AS repo_ids) AS read_for
WHERE log.source = $source AND log.repo = read_for.repo AND list_contains($days::DATE[], log.partition_date);

-- name: record_failure
-- A day that was loaded before keeps its entry: the failure took nothing away.
MERGE INTO ops.ingest_log
USING (
    SELECT
        $source AS source,
        repo,
        NULL::BIGINT AS repo_id,
        day AS partition_date,
        $fingerprint AS fingerprint,
        'failed' AS status,
        []::VARCHAR[] AS tables,
        0::BIGINT AS requests,
        0::BIGINT AS points,
        0::BIGINT AS lines,
        0::BIGINT AS bad_lines,
        0::BIGINT AS rows,
        $started::TIMESTAMP AS started_at,
        $finished::TIMESTAMP AS finished_at,
        $error AS error
    FROM (SELECT unnest($repos::VARCHAR[]) AS repo, unnest($days::DATE[]) AS day)
) AS failure
USING (source, repo, partition_date)
WHEN MATCHED AND ingest_log.status = 'failed' THEN UPDATE SET
    error = failure.error, started_at = failure.started_at, finished_at = failure.finished_at
WHEN NOT MATCHED THEN INSERT BY NAME;

-- name: days_of_another_world
SELECT DISTINCT partition_date FROM ops.ingest_log WHERE source = $source AND fingerprint <> $fingerprint;

-- name: forget
DELETE FROM ops.ingest_log WHERE source = $source AND fingerprint <> $fingerprint;

-- name: days
-- Of every day that was asked for once, or of these only.
SELECT
    partition_date, status, sum(lines)::BIGINT AS lines, sum(bad_lines)::BIGINT AS bad_lines, any_value(error) AS error
FROM ops.ingest_log
WHERE source = $source AND ($days IS NULL OR list_contains($days::DATE[], partition_date))
    AND (len($repos::VARCHAR[]) = 0 OR list_contains($repos::VARCHAR[], repo))
GROUP BY partition_date, status
ORDER BY partition_date;
