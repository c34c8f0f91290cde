-- Questions that the command line asks.

-- name: funnel
SELECT step, pull_requests, dropped FROM reports.funnel ORDER BY position;

-- name: latest_metrics
-- Of the newest version of each model.
SELECT evaluations.model, evaluations.metric, evaluations.time_window, evaluations.value, evaluations.lower,
    evaluations.upper, evaluations.baseline, evaluations.reason
FROM ml.evaluations AS evaluations
SEMI JOIN (
    SELECT model, max(version) AS version FROM ml.model_versions WHERE status <> 'removed' GROUP BY model
) AS newest
    ON evaluations.model = newest.model AND evaluations.version = newest.version
WHERE len($models::VARCHAR[]) = 0 OR list_contains($models::VARCHAR[], evaluations.model)
ORDER BY evaluations.model DESC, evaluations.time_window DESC, evaluations.metric;

-- name: newest_versions
SELECT model, version, status, reason, is_synthetic
FROM ml.model_versions
WHERE status <> 'removed' AND (len($models::VARCHAR[]) = 0 OR list_contains($models::VARCHAR[], model))
QUALIFY row_number() OVER (PARTITION BY model ORDER BY version DESC) = 1
ORDER BY model DESC;

-- name: versions
SELECT model, version, status, candidate, trained_at, is_synthetic, test_rows, reason
FROM ml.model_versions
ORDER BY trained_at DESC
LIMIT 8;

-- name: coverage
SELECT
    source, count(*) AS repositories, count(*) FILTER (is_covered) AS covered, min(covered_from) AS covered_from,
    max(covered_until) AS covered_until, avg(completeness) AS mean_completeness
FROM ops.coverage
GROUP BY source
ORDER BY source;

-- name: loads
SELECT
    source, status, count(DISTINCT partition_date) AS days, min(partition_date) AS first_day,
    max(partition_date) AS last_day, sum(rows)::BIGINT AS observations, sum(lines)::BIGINT AS lines,
    sum(bad_lines)::BIGINT AS bad_lines, max(finished_at) AS last_load
FROM ops.ingest_log
GROUP BY source, status
ORDER BY source, status;

-- name: tables
-- What there is to look at, names first; observed.* is what raw.* is folded from.
WITH listed AS (
    SELECT schema_name AS schema, table_name AS name, 'table' AS kind, estimated_size AS rows, comment AS about
    FROM duckdb_tables()
    WHERE database_name = current_database() AND schema_name <> 'observed' AND NOT temporary
    UNION ALL
    SELECT schema_name, view_name, 'view', NULL, comment
    FROM duckdb_views()
    WHERE database_name = current_database() AND NOT internal AND NOT temporary
)
SELECT schema, name, kind, rows, about
FROM listed
ORDER BY schema <> 'analysis', schema, name;

-- name: columns
SELECT column_name AS "column", data_type AS type, comment AS about
FROM duckdb_columns()
WHERE database_name = current_database() AND schema_name = $schema AND table_name = $name
ORDER BY column_index;
