-- name: view
CREATE OR REPLACE VIEW analysis.issues AS
WITH told AS (
    SELECT tests.model, tests.repo_id, tests.number, tests.prediction, tests.lower, tests.upper
    FROM ml.test_predictions AS tests
    SEMI JOIN ml.model_versions AS champions
        ON tests.model = champions.model AND tests.version = champions.version AND champions.status = 'champion'
    WHERE tests.model IN ('resolution_time', 'close_in_7_days')
    UNION ALL
    SELECT open.model, open.repo_id, open.number, open.prediction, open.lower, open.upper
    FROM ml.predictions AS open
    SEMI JOIN ml.model_versions AS champions
        ON open.model = champions.model AND open.version = champions.version AND champions.status = 'champion'
    -- What lasts longer than a test window is in both.
    ANTI JOIN ml.test_predictions AS tests
        ON open.model = tests.model AND open.version = tests.version AND open.repo_id = tests.repo_id
        AND open.number = tests.number
    WHERE open.model IN ('resolution_time', 'close_in_7_days') AND open.entry = ''
)
SELECT
    coalesce(repositories.repository, features.repo_id::VARCHAR) AS repository,
    features.number,
    raw.title,
    repositories.link || '/issues/' || features.number AS link,
    coalesce(raw.author_login, 'ghost') AS author,
    repositories.language,
    features.opened_at,
    date_trunc('month', features.opened_at)::DATE AS month,
    features.author_seniority AS seniority,
    features.author_association AS association,
    features.is_bug::TINYINT AS is_bug,
    features.is_feature::TINYINT AS is_feature,
    features.is_documentation::TINYINT AS is_documentation,
    features.is_refactor::TINYINT AS is_refactor,
    coalesce(features.ending, CASE WHEN features.closed_at IS NULL THEN 'open' END) AS ending,
    features.closed_at,
    features.resolution_hours,
    features.closed_in_7_days::TINYINT AS closed_in_7_days,
    features.exclusion AS why_not_used,
    hours.prediction AS predicted_hours,
    hours.lower AS predicted_hours_lower,
    hours.upper AS predicted_hours_upper,
    closings.prediction AS predicted_closing,
    features.source,
    features.repo_id
FROM features.issues AS features
LEFT JOIN raw.issues AS raw ON features.repo_id = raw.repo_id AND features.number = raw.number
LEFT JOIN analysis.repositories AS repositories ON features.repo_id = repositories.repo_id
LEFT JOIN told AS hours
    ON features.repo_id = hours.repo_id AND features.number = hours.number AND hours.model = 'resolution_time'
LEFT JOIN told AS closings
    ON features.repo_id = closings.repo_id AND features.number = closings.number
    AND closings.model = 'close_in_7_days';
COMMENT ON VIEW analysis.issues IS
    'One row an issue, with names: who, where, how and when it ended, and what the champions said of it';
COMMENT ON COLUMN analysis.issues.repository IS 'owner/name (analysis.repositories)';
COMMENT ON COLUMN analysis.issues.number IS 'Number within the repository';
COMMENT ON COLUMN analysis.issues.title IS 'Title as it is now; a stranger''s words';
COMMENT ON COLUMN analysis.issues.link IS 'Where to read it; NULL for what is made up or has no host';
COMMENT ON COLUMN analysis.issues.author IS 'Login of the author; ghost for a deleted account';
COMMENT ON COLUMN analysis.issues.language IS 'Main language of the repository';
COMMENT ON COLUMN analysis.issues.opened_at IS 'When it was opened (UTC)';
COMMENT ON COLUMN analysis.issues.month IS 'First day of the month in which it was opened (UTC)';
COMMENT ON COLUMN analysis.issues.seniority IS
    'Of the author in this repository at the opening: newcomer, junior, mid, senior or unknown';
COMMENT ON COLUMN analysis.issues.association IS 'The author''s standing in the platform''s word, at the opening';
COMMENT ON COLUMN analysis.issues.is_bug IS '1 by label or title, at the opening';
COMMENT ON COLUMN analysis.issues.is_feature IS '1 by label or title, at the opening';
COMMENT ON COLUMN analysis.issues.is_documentation IS '1 by label or title, at the opening';
COMMENT ON COLUMN analysis.issues.is_refactor IS '1 by label or title, at the opening';
COMMENT ON COLUMN analysis.issues.ending IS 'completed, not_planned, duplicate, stale, or open';
COMMENT ON COLUMN analysis.issues.closed_at IS 'When it was closed (UTC); NULL while open';
COMMENT ON COLUMN analysis.issues.resolution_hours IS 'Hours from opening to being resolved; NULL if it was not';
COMMENT ON COLUMN analysis.issues.closed_in_7_days IS
    '1 if it was closed within 7 days of its opening, in whatever way, 0 if not, NULL while that is open';
COMMENT ON COLUMN analysis.issues.why_not_used IS 'Why models do not learn from it; NULL if they do';
COMMENT ON COLUMN analysis.issues.predicted_hours IS
    'Median hours to its resolution, as the champion of resolution_time said without knowing; else NULL';
COMMENT ON COLUMN analysis.issues.predicted_hours_lower IS 'Lower end of the interval of 80 %';
COMMENT ON COLUMN analysis.issues.predicted_hours_upper IS 'Upper end of it; at 2160 it means: or longer';
COMMENT ON COLUMN analysis.issues.predicted_closing IS
    'Probability of being closed within 7 days, as the champion of close_in_7_days said without knowing; else NULL';
COMMENT ON COLUMN analysis.issues.source IS 'Source of the newest observation; demo is made up';
COMMENT ON COLUMN analysis.issues.repo_id IS 'Repository, as other tables have it';
