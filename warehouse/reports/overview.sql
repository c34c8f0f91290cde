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
