-- name: view
CREATE OR REPLACE VIEW analysis.comments AS
WITH told AS (
    SELECT tests.comment_id, tests.prediction, tests.answer
    FROM ml.test_predictions AS tests
    SEMI JOIN ml.model_versions AS champions
        ON tests.model = champions.model AND tests.version = champions.version AND champions.status = 'champion'
    WHERE tests.model = 'comment_category'
    UNION ALL
    SELECT open.comment_id, open.prediction, open.answer
    FROM ml.predictions AS open
    SEMI JOIN ml.model_versions AS champions
        ON open.model = champions.model AND open.version = champions.version AND champions.status = 'champion'
    ANTI JOIN ml.test_predictions AS tests
        ON open.model = tests.model AND open.version = tests.version AND open.comment_id = tests.comment_id
    WHERE open.model = 'comment_category' AND open.entry = ''
)
SELECT
    coalesce(
        repositories.repository,
        CASE WHEN features.source = 'file' THEN 'labelled files' END,
        features.repo_id::VARCHAR
    ) AS repository,
    nullif(features.number, 0) AS number,
    pull_requests.title,
    repositories.link || '/pull/' || features.number || '#discussion_r'
        || (features.comment_id & 1099511627775) AS link,
    CASE WHEN features.source <> 'file' THEN coalesce(raw.author_login, 'ghost') END AS author,
    (raw.author_id = pull_requests.author_id)::TINYINT AS is_by_author,
    repositories.language,
    features.opened_at AS written_at,
    date_trunc('month', features.opened_at)::DATE AS month,
    features.path,
    features.body AS comment,
    features.category,
    features.label_origin AS category_from,
    told.answer AS predicted_category,
    told.prediction AS confidence,
    (told.answer = features.category)::TINYINT AS is_right,
    features.exclusion AS why_not_used,
    features.source,
    features.comment_id,
    features.repo_id
FROM features.comments AS features
LEFT JOIN raw.review_comments AS raw ON features.comment_id = raw.comment_id
LEFT JOIN raw.pull_requests AS pull_requests
    ON features.repo_id = pull_requests.repo_id AND features.number = pull_requests.number
LEFT JOIN analysis.repositories AS repositories ON features.repo_id = repositories.repo_id
LEFT JOIN told ON features.comment_id = told.comment_id;
COMMENT ON VIEW analysis.comments IS
    'One row a review comment, with names: who, on what, of which kind by people''s word, and by the champion''s';
COMMENT ON COLUMN analysis.comments.repository IS
    'owner/name (analysis.repositories); labelled files for comments that are nowhere else';
COMMENT ON COLUMN analysis.comments.number IS 'Number of the pull request';
COMMENT ON COLUMN analysis.comments.title IS 'Title of the pull request; a stranger''s words';
COMMENT ON COLUMN analysis.comments.link IS 'Where to read it; NULL for what is made up or has no host';
COMMENT ON COLUMN analysis.comments.author IS 'Login of who wrote it; ghost for a deleted account';
COMMENT ON COLUMN analysis.comments.is_by_author IS '1 if the author of the pull request wrote it';
COMMENT ON COLUMN analysis.comments.language IS 'Main language of the repository';
COMMENT ON COLUMN analysis.comments.written_at IS 'When it was written (UTC)';
COMMENT ON COLUMN analysis.comments.month IS 'First day of that month (UTC)';
COMMENT ON COLUMN analysis.comments.path IS 'File that it is about';
COMMENT ON COLUMN analysis.comments.comment IS 'The comment; a stranger''s words';
COMMENT ON COLUMN analysis.comments.category IS 'What people say it is; NULL if nobody has';
COMMENT ON COLUMN analysis.comments.category_from IS 'feedback, the name of the file, or demo';
COMMENT ON COLUMN analysis.comments.predicted_category IS
    'What the champion of comment_category said without knowing, or UNCERTAIN; else NULL';
COMMENT ON COLUMN analysis.comments.confidence IS 'How sure it was, 0 to 1';
COMMENT ON COLUMN analysis.comments.is_right IS '1 if both are the same';
COMMENT ON COLUMN analysis.comments.why_not_used IS 'Why models do not use it: empty, bot, reply; NULL if they do';
COMMENT ON COLUMN analysis.comments.source IS 'Source of the newest observation; demo is made up';
COMMENT ON COLUMN analysis.comments.comment_id IS 'Comment, as other tables have it';
COMMENT ON COLUMN analysis.comments.repo_id IS 'Repository, as other tables have it';
