-- What the page about the state of everything (`qc report`) asks.

-- name: sources
SELECT
    source, count(*) AS repositories, count(*) FILTER (is_covered) AS covered, min(covered_from) AS covered_from,
    max(covered_until) AS covered_until
FROM ops.coverage
GROUP BY source
ORDER BY source;

-- name: days
SELECT
    source, count(*) FILTER (status = 'done') AS done, count(*) FILTER (status <> 'done') AS not_done,
    sum(bad_lines)::BIGINT AS bad_lines, max(finished_at) AS last_load
FROM ops.ingest_log
GROUP BY source
ORDER BY source;

-- name: repositories
WITH covered AS (
    SELECT repo_id, max(covered_until) AS covered_until, bool_or(is_covered) AS is_covered
    FROM ops.coverage
    GROUP BY repo_id
),

pull_requests AS (
    SELECT
        repository,
        any_value(repo_id) AS repo_id,
        count(*) AS pull_requests,
        count(*) FILTER (is_used) AS used,
        avg(passed) FILTER (is_used) AS pass_rate,
        count(*) FILTER (is_used AND p0 IS NOT NULL AND passed IS NOT NULL) AS judged,
        avg(p0) FILTER (is_used AND passed IS NOT NULL) AS predicted,
        avg(passed) FILTER (is_used AND p0 IS NOT NULL) AS observed,
        median(first_response_hours) FILTER (is_used) AS hours_to_response
    FROM analysis.pull_requests
    GROUP BY repository
),

issues AS (
    SELECT
        repository,
        any_value(repo_id) AS repo_id,
        count(*) AS issues,
        avg(closed_in_7_days) AS closed_in_7_days
    FROM analysis.issues
    GROUP BY repository
)

SELECT
    coalesce(pull_requests.repository, issues.repository) AS repository,
    coalesce(pull_requests.pull_requests, 0) AS pull_requests,
    coalesce(pull_requests.used, 0) AS used,
    pull_requests.pass_rate,
    coalesce(pull_requests.judged, 0) AS judged,
    pull_requests.predicted,
    pull_requests.observed,
    pull_requests.hours_to_response,
    coalesce(issues.issues, 0) AS issues,
    issues.closed_in_7_days,
    covered.is_covered,
    covered.covered_until
FROM pull_requests
FULL OUTER JOIN issues ON pull_requests.repository = issues.repository
LEFT JOIN covered ON coalesce(pull_requests.repo_id, issues.repo_id) = covered.repo_id
ORDER BY used DESC, issues DESC, repository
LIMIT 500;

-- name: size
WITH items AS (
    SELECT repo_id, 1 AS pull_request FROM raw.pull_requests UNION ALL SELECT repo_id, 0 AS pull_request FROM raw.issues
)

SELECT
    count(*) FILTER (pull_request = 1) AS pull_requests, count(*) FILTER (pull_request = 0) AS issues,
    count(DISTINCT repo_id) AS repositories
FROM items;

-- name: activity
SELECT week, prs_opened, prs_landed, reviews, issues_opened, issues_closed, pass_rate
FROM reports.weekly_activity
ORDER BY week DESC
LIMIT 104;

-- name: versions
SELECT model, version, status, candidate, trained_at, test_rows, reason, is_synthetic
FROM ml.model_versions
WHERE status <> 'removed'
ORDER BY model, version;

-- name: metrics
SELECT model, version, metric, value, lower, upper, baseline, reason
FROM ml.evaluations
WHERE time_window = 'test';

-- name: gates
SELECT model, version, gate, detail, blocks
FROM ml.gates
WHERE NOT passed
ORDER BY model, version, blocks DESC, gate;

-- name: checks
SELECT model, version, promise, passed, blocks, detail FROM ml.checks ORDER BY model, promise;

-- name: calibration
SELECT model, bin, items, predicted, observed FROM reports.calibration ORDER BY model, bin;

-- name: weeks
SELECT model, week, items, decided, mean_prediction, observed FROM reports.monitoring ORDER BY model, week;

-- name: reliability
SELECT model, part, name, "rows", predicted, observed, gap, lower, upper, is_off, reason
FROM reports.live_reliability
ORDER BY model, part, "rows" DESC, name;

-- name: drift
SELECT model, feature, psi, by_chance, is_drifting, unknown_before, unknown_now
FROM reports.drift
ORDER BY model, psi DESC;

-- name: bias
SELECT
    bias.model, bias.attribute, bias."group", bias.metric, bias."rows", bias.value, bias.expected, bias.gap, bias.lower,
    bias.upper, bias.status
FROM reports.bias AS bias
SEMI JOIN (
    SELECT model, max(version) AS version
    FROM reports.bias
    GROUP BY model
) AS newest
    ON bias.model = newest.model AND bias.version = newest.version
WHERE bias.question = 'predictions' AND bias.status <> 'not judged'
ORDER BY
    bias.model, bias.status <> 'flagged', abs(bias.relative_gap) DESC NULLS LAST, bias.attribute, bias."group";

-- name: payouts
SELECT
    month, count(*) FILTER (is_paid) AS paid, count(*) FILTER (NOT is_paid) AS refused,
    sum(d1) FILTER (counts) AS amount, avg(p0)::DOUBLE AS p0, avg(passed) FILTER (is_paid) AS passed,
    count(*) FILTER (NOT adds_up) AS wrong, count(*) FILTER (appeal = 'open') AS open_appeals,
    max(is_made_up) AS is_made_up
FROM analysis.payouts
GROUP BY month
ORDER BY month;

-- name: refusals
SELECT why_refused, count(*) AS payouts
FROM analysis.payouts
WHERE NOT is_paid
GROUP BY why_refused
ORDER BY payouts DESC, why_refused
LIMIT 20;

-- name: patterns
SELECT pattern, count(*) AS findings FROM reports.payout_patterns GROUP BY pattern ORDER BY pattern;
