-- name: table
CREATE TABLE features.comments (
    repo_id BIGINT, -- of: identity, forge id
    number BIGINT, -- of: identity
    comment_id BIGINT PRIMARY KEY, -- of: identity, forge id
    opened_at TIMESTAMP NOT NULL, -- of: time
    author_id BIGINT, -- of: identity, forge id
    source VARCHAR NOT NULL, -- of: identity
    body VARCHAR NOT NULL, -- of: item
    path VARCHAR, -- of: item
    category VARCHAR, -- of: label
    label_origin VARCHAR, -- of: label
    exclusions VARCHAR[] NOT NULL, -- of: label
    exclusion VARCHAR, -- of: label
    observed_until TIMESTAMP NOT NULL -- of: label
);
COMMENT ON TABLE features.comments IS
    'One row a review comment, of the warehouse or of a labelled file, with its category if a person gave one';
COMMENT ON COLUMN features.comments.repo_id IS 'Repository; 0 for comments that are in a labelled file only';
COMMENT ON COLUMN features.comments.number IS 'Pull request; 0 for comments that are in a labelled file only';
COMMENT ON COLUMN features.comments.comment_id IS
    'Comment; a large negative number for comments that are in a labelled file only';
COMMENT ON COLUMN features.comments.opened_at IS 'When it was written (UTC)';
COMMENT ON COLUMN features.comments.author_id IS 'Account of its author';
COMMENT ON COLUMN features.comments.source IS 'Source of the newest observation; demo is synthetic';
COMMENT ON COLUMN features.comments.body IS 'The comment';
COMMENT ON COLUMN features.comments.path IS 'File that it is about';
COMMENT ON COLUMN features.comments.category IS
    'Label: the newest feedback, else what the majority of raters of imported files say; NULL if there is none';
COMMENT ON COLUMN features.comments.label_origin IS 'feedback, the name of the file, or demo';
COMMENT ON COLUMN features.comments.exclusions IS
    'All reasons that may keep it out of a model, whose spec says which do: empty, bot, reply';
COMMENT ON COLUMN features.comments.exclusion IS 'Why models do not use it: empty, bot, reply; NULL if they do';
COMMENT ON COLUMN features.comments.observed_until IS
    'Comments are judged by their text alone, so this never cuts any off';

-- name: rows
WITH feedback AS (
    SELECT comment_id, label AS category, 'feedback' AS origin, confirmed
    FROM newest_feedback('ml.feedback', 'comment_category', 'category')
    WHERE comment_id <> 0
),
imported AS (
    SELECT comment_id, category, arg_max(origin, row_number) AS origin
    FROM judged_labels('ml.imported_labels')
    WHERE comment_id IS NOT NULL AND status = 'used'
    GROUP BY comment_id, category
),
comments AS (
    SELECT *, is_machine('ops.machine_accounts', author_is_bot, author_id) AS is_program
    FROM raw.review_comments
    WHERE created_at IS NOT NULL
),
judged AS (
    SELECT
        comments.repo_id,
        comments.number,
        comments.comment_id,
        comments.created_at AS opened_at,
        comments.author_id,
        comments.source,
        coalesce(comments.body, '') AS body,
        comments.path,
        -- What a file says is the word of people, too: one key alone does not overrule it.
        CASE WHEN feedback.confirmed THEN feedback.category ELSE coalesce(imported.category, feedback.category) END
            AS category,
        CASE WHEN feedback.confirmed THEN feedback.origin ELSE coalesce(imported.origin, feedback.origin) END
            AS label_origin,
        list_filter(
            [
                CASE WHEN trim(coalesce(comments.body, '')) = '' THEN 'empty' END,
                CASE WHEN comments.is_program THEN 'bot' END,
                CASE WHEN comments.in_reply_to_id IS NOT NULL THEN 'reply' END
            ],
            lambda reason: reason IS NOT NULL
        ) AS exclusions
    FROM comments
    LEFT JOIN feedback ON comments.comment_id = feedback.comment_id
    LEFT JOIN imported ON comments.comment_id = imported.comment_id
),
from_the_warehouse AS (SELECT *, exclusions[1] AS exclusion FROM judged),
from_files AS (
    SELECT
        0 AS repo_id, 0 AS number, item_id AS comment_id, min(created_at) AS opened_at, NULL::BIGINT AS author_id,
        'file' AS source, body, path, category, arg_max(origin, row_number) AS label_origin,
        []::VARCHAR[] AS exclusions, NULL::VARCHAR AS exclusion
    FROM judged_labels('ml.imported_labels')
    WHERE comment_id IS NULL AND status = 'used'
    GROUP BY item_id, body, path, category
)
SELECT *, TIMESTAMP '2200-01-01' AS observed_until FROM from_the_warehouse
UNION ALL
SELECT *, TIMESTAMP '2200-01-01' AS observed_until FROM from_files;

-- name: groups
-- Seniority is that of the pull request's author, whose code is commented.
SELECT
    comments.repo_id,
    comments.number,
    comments.comment_id,
    coalesce(
        ops.qualified(comments.repo_id, repositories.name),
        CASE WHEN comments.source = 'file' THEN 'labelled files' END,
        comments.repo_id::VARCHAR
    ) AS repo,
    coalesce(pull_requests.author_seniority, 'unknown') AS seniority,
    pull_requests.author_is_newcomer AS is_newcomer,
    repositories.language,
    comments.body
FROM features.comments AS comments
LEFT JOIN features.pull_requests AS pull_requests
    ON comments.repo_id = pull_requests.repo_id AND comments.number = pull_requests.number
LEFT JOIN raw.repositories AS repositories ON comments.repo_id = repositories.repo_id;

-- name: exclusions
SELECT coalesce(exclusion, 'none') AS exclusion, count(*) AS comments, count(category) AS labelled
FROM features.comments
GROUP BY exclusion
ORDER BY comments DESC;

-- name: checks
SELECT
    count(*) FILTER (source <> 'file') AS rows,
    (SELECT count(*) FROM raw.review_comments WHERE created_at IS NOT NULL) AS raw_rows,
    count(*) FILTER (category IS NOT NULL AND label_origin IS NULL) AS impossible
FROM features.comments;
