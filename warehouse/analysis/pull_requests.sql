-- name: view
CREATE OR REPLACE VIEW analysis.pull_requests AS
WITH champions AS (
    SELECT model, version
    FROM ml.model_versions
    WHERE model = 'p0' AND status = 'champion'
),
tested AS (
    SELECT tests.repo_id, tests.number, tests.version, tests.prediction, tests.lower, tests.upper
    FROM ml.test_predictions AS tests
    SEMI JOIN champions ON tests.model = champions.model AND tests.version = champions.version
),
scored AS (
    SELECT open.repo_id, open.number, open.version, open.prediction, open.lower, open.upper
    FROM ml.predictions AS open
    SEMI JOIN champions ON open.model = champions.model AND open.version = champions.version
    WHERE open.entry = '' AND open.comment_id = 0
)
SELECT
    coalesce(repositories.repository, features.repo_id::VARCHAR) AS repository,
    features.number,
    raw.title,
    repositories.link || '/pull/' || features.number AS link,
    coalesce(raw.author_login, 'ghost') AS author,
    repositories.language,
    features.opened_at,
    date_trunc('month', features.opened_at)::DATE AS month,
    features.origin,
    features.origin_agent AS agent,
    features.origin_sender AS sent_by,
    features.author_seniority AS seniority,
    features.author_association AS association,
    features.author_prior_prs_in_repo AS earlier_pull_requests_here,
    features.lines_changed,
    features.files_changed,
    features.commits,
    features.is_draft::TINYINT AS is_draft,
    features.is_bug_fix::TINYINT AS is_bug_fix,
    features.is_feature::TINYINT AS is_feature,
    features.is_documentation::TINYINT AS is_documentation,
    features.is_refactor::TINYINT AS is_refactor,
    CASE
        WHEN features.merged_at IS NOT NULL THEN 'merged'
        WHEN features.landed_at IS NOT NULL THEN 'landed'
        WHEN features.closed_at IS NOT NULL THEN 'closed'
        ELSE 'open'
    END AS state,
    features.passed::TINYINT AS passed,
    features.decided_at,
    features.decided_by_verdict::TINYINT AS decided_by_verdict,
    features.review_cycles,
    features.first_response_hours,
    epoch(features.closed_at - features.opened_at) / 3600 AS hours_open,
    -- Of what was opened lately only quick decisions are known. The time is p0's maturity, by test.
    coalesce(
        features.exclusion,
        CASE WHEN features.opened_at >= features.observed_until - INTERVAL 14 DAY THEN 'too_young' END
    ) AS why_not_used,
    (why_not_used IS NULL)::TINYINT AS is_used,
    coalesce(tested.prediction, scored.prediction) AS p0,
    coalesce(tested.lower, scored.lower) AS p0_lower,
    coalesce(tested.upper, scored.upper) AS p0_upper,
    coalesce(tested.version, scored.version) AS p0_version,
    features.source,
    features.repo_id
FROM features.pull_requests AS features
LEFT JOIN raw.pull_requests AS raw ON features.repo_id = raw.repo_id AND features.number = raw.number
LEFT JOIN analysis.repositories AS repositories ON features.repo_id = repositories.repo_id
LEFT JOIN tested ON features.repo_id = tested.repo_id AND features.number = tested.number
LEFT JOIN scored ON features.repo_id = scored.repo_id AND features.number = scored.number;
COMMENT ON VIEW analysis.pull_requests IS
    'One row a pull request, with names: who, where, how large, how its first review ended, and what p0 said of it';
COMMENT ON COLUMN analysis.pull_requests.repository IS 'owner/name (analysis.repositories)';
COMMENT ON COLUMN analysis.pull_requests.number IS 'Number within the repository';
COMMENT ON COLUMN analysis.pull_requests.title IS 'Title as it is now; a stranger''s words';
COMMENT ON COLUMN analysis.pull_requests.link IS 'Where to read it; NULL for what is made up or has no host';
COMMENT ON COLUMN analysis.pull_requests.author IS 'Login of the author; ghost for a deleted account';
COMMENT ON COLUMN analysis.pull_requests.language IS 'Main language of the repository';
COMMENT ON COLUMN analysis.pull_requests.opened_at IS 'When it was opened (UTC)';
COMMENT ON COLUMN analysis.pull_requests.month IS 'First day of the month in which it was opened (UTC)';
COMMENT ON COLUMN analysis.pull_requests.origin IS
    'Who made it: person, assisted (a person with an assistant), agent, automation or unknown';
COMMENT ON COLUMN analysis.pull_requests.agent IS 'Whose agent or assistant, such as Copilot or Codex';
COMMENT ON COLUMN analysis.pull_requests.sent_by IS 'Login of who had it made by an agent or with an assistant';
COMMENT ON COLUMN analysis.pull_requests.seniority IS
    'Of the author in this repository at the opening: newcomer, junior, mid, senior or unknown';
COMMENT ON COLUMN analysis.pull_requests.association IS
    'The author''s standing in the platform''s word, at the opening';
COMMENT ON COLUMN analysis.pull_requests.earlier_pull_requests_here IS
    'Pull requests that the author had opened in this repository before';
COMMENT ON COLUMN analysis.pull_requests.lines_changed IS 'Lines added and deleted, at the opening';
COMMENT ON COLUMN analysis.pull_requests.files_changed IS 'Files changed, at the opening';
COMMENT ON COLUMN analysis.pull_requests.commits IS 'Commits, at the opening';
COMMENT ON COLUMN analysis.pull_requests.is_draft IS '1 if it was opened as a draft; NULL where nobody tells';
COMMENT ON COLUMN analysis.pull_requests.is_bug_fix IS '1 by label or title, at the opening';
COMMENT ON COLUMN analysis.pull_requests.is_feature IS '1 by label or title, at the opening';
COMMENT ON COLUMN analysis.pull_requests.is_documentation IS '1 by label or title, at the opening';
COMMENT ON COLUMN analysis.pull_requests.is_refactor IS '1 by label or title, at the opening';
COMMENT ON COLUMN analysis.pull_requests.state IS
    'merged; landed: closed by what landed it; closed: without landing; open';
COMMENT ON COLUMN analysis.pull_requests.passed IS
    '1 if it passed its first review, 0 if not, NULL while that is open; avg(passed) is the share';
COMMENT ON COLUMN analysis.pull_requests.decided_at IS 'When that became known (UTC)';
COMMENT ON COLUMN analysis.pull_requests.decided_by_verdict IS
    '1 if a reviewer''s verdict decided it, 0 if its landing or closing did';
COMMENT ON COLUMN analysis.pull_requests.review_cycles IS 'Requests for changes by other people, in all';
COMMENT ON COLUMN analysis.pull_requests.first_response_hours IS
    'Hours to the first response of another person; NULL while nobody has, or if it was closed before';
COMMENT ON COLUMN analysis.pull_requests.hours_open IS 'Hours from opening to closing; NULL while open';
COMMENT ON COLUMN analysis.pull_requests.is_used IS '1 if p0 may learn from it: WHERE is_used';
COMMENT ON COLUMN analysis.pull_requests.why_not_used IS
    'Why p0 does not: opening_not_observed, outside_coverage, bot, draft, size_unknown, too_small, undecided, '
    'too_young: of the last 14 days only quick decisions are known, and these pass more often';
COMMENT ON COLUMN analysis.pull_requests.p0 IS
    'What the champion said without knowing the outcome: in its test window, or while it was open; else NULL, as of '
    'what it was fitted to';
COMMENT ON COLUMN analysis.pull_requests.p0_lower IS 'p0 with one more failure like it';
COMMENT ON COLUMN analysis.pull_requests.p0_upper IS 'p0 with one more success like it';
COMMENT ON COLUMN analysis.pull_requests.p0_version IS 'Version of p0 that said so: the champion''s';
COMMENT ON COLUMN analysis.pull_requests.source IS 'Source of the newest observation; demo is made up';
COMMENT ON COLUMN analysis.pull_requests.repo_id IS 'Repository, as other tables have it';
