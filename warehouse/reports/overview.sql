-- Questions that the command line asks.

-- name: funnel
SELECT step, pull_requests, dropped FROM reports.funnel ORDER BY position;

-- name: latest_metrics
SELECT evaluations.metric, evaluations.time_window, evaluations.value, evaluations.lower, evaluations.upper,
    evaluations.baseline
FROM ml.evaluations AS evaluations
WHERE evaluations.model = 'p0' AND evaluations.version = (SELECT max(version) FROM ml.model_versions WHERE model = 'p0')
ORDER BY evaluations.time_window DESC, evaluations.metric;

-- name: versions
SELECT model, version, status, candidate, trained_at, is_synthetic, test_rows, reason
FROM ml.model_versions
ORDER BY trained_at DESC
LIMIT 5;

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
