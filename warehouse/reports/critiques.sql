-- name: table
CREATE TABLE reports.critiques (
    comment_id BIGINT PRIMARY KEY, -- forge id
    batch VARCHAR NOT NULL,
    repo_id BIGINT NOT NULL, -- forge id
    repo VARCHAR,
    language VARCHAR,
    licence VARCHAR,
    number BIGINT NOT NULL,
    thread_id BIGINT NOT NULL, -- forge id
    created_at TIMESTAMP NOT NULL,
    path VARCHAR NOT NULL,
    section VARCHAR,
    hunk VARCHAR NOT NULL,
    line BIGINT,
    body VARCHAR NOT NULL,
    summary VARCHAR,
    outcome VARCHAR,
    answers BIGINT NOT NULL,
    category VARCHAR,
    category_origin VARCHAR,
    changed_afterwards BOOLEAN,
    usefulness VARCHAR NOT NULL CHECK (usefulness IN ('changed', 'discussed', 'unknown', 'rejected')),
    source VARCHAR NOT NULL,
    split VARCHAR NOT NULL CHECK (split IN ('train', 'validation', 'test', 'left_out'))
);
COMMENT ON TABLE reports.critiques IS
    'Review comments that teach something, with their code: what models of review feedback are trained on';
COMMENT ON COLUMN reports.critiques.comment_id IS 'Review comment';
COMMENT ON COLUMN reports.critiques.batch IS 'Batch of its repository';
COMMENT ON COLUMN reports.critiques.repo_id IS 'Repository';
COMMENT ON COLUMN reports.critiques.repo IS 'owner/name';
COMMENT ON COLUMN reports.critiques.language IS 'Main language of the repository';
COMMENT ON COLUMN reports.critiques.licence IS 'SPDX name of its licence; NULL: none, or not known';
COMMENT ON COLUMN reports.critiques.number IS 'Pull request';
COMMENT ON COLUMN reports.critiques.thread_id IS 'First comment of its discussion';
COMMENT ON COLUMN reports.critiques.created_at IS 'When it was written (UTC)';
COMMENT ON COLUMN reports.critiques.path IS 'File';
COMMENT ON COLUMN reports.critiques.section IS 'What the hunk''s header names, such as a function';
COMMENT ON COLUMN reports.critiques.hunk IS 'The code; its last line is the one that is spoken of';
COMMENT ON COLUMN reports.critiques.line IS 'Number of that line';
COMMENT ON COLUMN reports.critiques.body IS 'The comment as it was written; exports mask it';
COMMENT ON COLUMN reports.critiques.summary IS 'What the discussion came to';
COMMENT ON COLUMN reports.critiques.outcome IS 'changed, rejected, open or unclear, if a language model said so';
COMMENT ON COLUMN reports.critiques.answers IS 'Answers in the discussion';
COMMENT ON COLUMN reports.critiques.category IS
    'What a person said it is, else the newest prediction of comment_category';
COMMENT ON COLUMN reports.critiques.category_origin IS 'label or prediction';
COMMENT ON COLUMN reports.critiques.changed_afterwards IS
    'The author changed the line afterwards; NULL if that is not known';
COMMENT ON COLUMN reports.critiques.usefulness IS
    'changed: the line was changed afterwards, the strongest sign; rejected: called a false positive, or turned '
    'down; discussed: somebody answered; unknown';
COMMENT ON COLUMN reports.critiques.source IS 'Source of the comment; demo is synthetic';
COMMENT ON COLUMN reports.critiques.split IS
    'test: repositories that no other split has; train and validation: the others, before and after an instant; '
    'left_out: what fits neither, and copies';

-- name: rows
-- One repository in ten is tested on, chosen by a hash of its id, and only with what is later than everything that
-- models are trained on: neither its style nor its time is known to them. A pull request is on one side of the
-- boundary as a whole, or its later comments are left out: they show the same code.
WITH kept AS (
    SELECT filtered.*, comments.created_at, comments.body, comments.source
    FROM critique.filtered AS filtered
    INNER JOIN raw.review_comments AS comments ON filtered.comment_id = comments.comment_id
    WHERE filtered.reason IS NULL AND comments.vanished_at IS NULL
),
shown AS (
    SELECT
        kept.*, diffs.path, diffs.section, diffs.hunk, diffs.line, diffs.changed_afterwards,
        min(kept.created_at) OVER (PARTITION BY kept.repo_id, kept.number) AS begun_at
    FROM kept
    INNER JOIN critique.diffs AS diffs ON kept.comment_id = diffs.comment_id
    WHERE diffs.reason IS NULL
),
placed AS (
    SELECT
        *,
        created_at >= boundary.at_instant AS is_late,
        begun_at >= boundary.at_instant AS is_of_late_pr,
        md5_number_lower(repo_id::VARCHAR) % 10 = 0 AS is_of_test_repo,
        -- A fork or a copied file brings the same words on the same code again.
        row_number() OVER (PARTITION BY md5(body || hunk) ORDER BY created_at, comment_id) > 1 AS is_copy
    FROM shown
    CROSS JOIN (SELECT make_timestamp((quantile_cont(epoch_us(created_at), 0.85))::BIGINT) AS at_instant FROM shown)
        AS boundary
),
predicted AS (
    SELECT comment_id, answer AS category
    FROM ml.predictions
    WHERE model = 'comment_category' AND answer <> 'UNCERTAIN' AND comment_id <> 0
    QUALIFY row_number() OVER (PARTITION BY comment_id ORDER BY version DESC, predicted_at DESC) = 1
)
SELECT
    placed.comment_id,
    placed.batch,
    placed.repo_id,
    ops.qualified(placed.repo_id, repositories.name) AS repo,
    repositories.language,
    repositories.licence,
    placed.number,
    placed.thread_id,
    placed.created_at,
    placed.path,
    placed.section,
    placed.hunk,
    placed.line,
    placed.body,
    summaries.summary,
    summaries.outcome,
    coalesce(summaries.comments - 1, 0) AS answers,
    coalesce(labelled.category, predicted.category) AS category,
    CASE
        WHEN labelled.category IS NOT NULL THEN 'label' WHEN predicted.category IS NOT NULL THEN 'prediction'
    END AS category_origin,
    placed.changed_afterwards,
    CASE
        WHEN labelled.category = 'false_positive' OR summaries.outcome = 'rejected' THEN 'rejected'
        WHEN placed.changed_afterwards THEN 'changed'
        WHEN summaries.comments > 1 THEN 'discussed'
        ELSE 'unknown'
    END AS usefulness,
    placed.source,
    CASE
        WHEN placed.is_copy THEN 'left_out'
        WHEN placed.is_of_test_repo AND placed.is_of_late_pr THEN 'test'
        WHEN placed.is_of_test_repo THEN 'left_out'
        WHEN placed.is_of_late_pr THEN 'validation'
        WHEN placed.is_late THEN 'left_out'
        ELSE 'train'
    END AS split
FROM placed
LEFT JOIN critique.summaries AS summaries ON placed.thread_id = summaries.thread_id
LEFT JOIN raw.repositories AS repositories ON placed.repo_id = repositories.repo_id
LEFT JOIN features.comments AS labelled ON placed.comment_id = labelled.comment_id
LEFT JOIN predicted ON placed.comment_id = predicted.comment_id;

-- name: funnel
-- From all comments of the batches to the splits.
SELECT coalesce(filtered.reason, diffs.reason, critiques.split, 'no_code_yet') AS reason, count(*) AS comments
FROM critique.filtered AS filtered
LEFT JOIN critique.diffs AS diffs ON filtered.comment_id = diffs.comment_id
LEFT JOIN reports.critiques AS critiques ON filtered.comment_id = critiques.comment_id
GROUP BY ALL
ORDER BY comments DESC, reason;

-- name: steps
-- What is left after each step.
SELECT
    (SELECT count(*) FROM raw.review_comments WHERE vanished_at IS NULL) AS review_comments,
    count(*) AS on_the_newest_pull_requests,
    count(*) FILTER (reason IS NULL OR reason IN ('unlike_critique', 'duplicate')) AS after_the_rules,
    count(*) FILTER (reason IS NULL OR reason = 'duplicate') AS like_criticism,
    count(*) FILTER (reason IS NULL) AS not_said_before,
    (SELECT count(*) FROM reports.critiques) AS with_code,
    (SELECT count(*) FROM reports.critiques WHERE split <> 'left_out') AS in_a_split
FROM critique.filtered;

-- name: sizes
SELECT
    split,
    count(*) AS critiques,
    count(DISTINCT repo_id) AS repositories,
    min(created_at) AS first,
    max(created_at) AS last
FROM reports.critiques
GROUP BY ALL
ORDER BY ALL;

-- name: usefulness
SELECT usefulness, count(*) AS critiques FROM reports.critiques GROUP BY ALL ORDER BY critiques DESC;

-- name: languages
SELECT coalesce(language, 'not known') AS language, count(DISTINCT repo_id) AS repositories, count(*) AS critiques
FROM reports.critiques
GROUP BY ALL
ORDER BY critiques DESC, language;

-- name: licences
SELECT
    coalesce(licence, 'not known, or none') AS licence, count(DISTINCT repo_id) AS repositories, count(*) AS critiques
FROM reports.critiques
GROUP BY ALL
ORDER BY critiques DESC, licence;

-- name: leaks
WITH used AS (
    SELECT *, md5(body || hunk) AS text FROM reports.critiques WHERE split <> 'left_out'
)
SELECT
    (
        SELECT count(*)
        FROM (SELECT repo_id FROM used GROUP BY repo_id HAVING bool_or(split = 'test') AND bool_or(split <> 'test'))
    ) AS shared_repositories,
    (
        SELECT count(*)
        FROM (SELECT repo_id, number FROM used GROUP BY repo_id, number HAVING count(DISTINCT split) > 1)
    ) AS shared_pull_requests,
    (SELECT count(*) FROM (SELECT text FROM used GROUP BY text HAVING count(DISTINCT split) > 1)) AS shared_texts,
    (
        SELECT count(*)
        FROM used
        WHERE split = 'train' AND created_at >= (SELECT min(created_at) FROM used WHERE split <> 'train')
    ) AS later_than_what_judges;
