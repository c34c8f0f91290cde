CREATE TABLE IF NOT EXISTS ml.imported_labels (
    label_id BIGINT PRIMARY KEY,
    comment_id BIGINT, -- forge id
    body VARCHAR NOT NULL,
    path VARCHAR,
    category VARCHAR NOT NULL CHECK (
        category IN ('functional', 'refactoring', 'documentation', 'discussion', 'false_positive')
    ),
    origin VARCHAR NOT NULL,
    row_number INTEGER NOT NULL,
    created_at TIMESTAMP NOT NULL,
    imported_at TIMESTAMP NOT NULL,
    rater VARCHAR,
    file_digest VARCHAR,
    arrival BIGINT
);
COMMENT ON TABLE ml.imported_labels IS
    'Labelled review comments from files (qc labels import), and those of the demo; what was corrected later is kept, '
    'and judged_labels says what counts';
COMMENT ON COLUMN ml.imported_labels.label_id IS 'A negative number that no comment of a forge has';
COMMENT ON COLUMN ml.imported_labels.comment_id IS
    'Comment in raw.review_comments that is meant, or will be when it is loaded; NULL if the text is all there is';
COMMENT ON COLUMN ml.imported_labels.body IS 'The comment';
COMMENT ON COLUMN ml.imported_labels.path IS 'File that it is about';
COMMENT ON COLUMN ml.imported_labels.category IS 'The category that a person gave';
COMMENT ON COLUMN ml.imported_labels.origin IS 'Name of the file, or demo';
COMMENT ON COLUMN ml.imported_labels.row_number IS 'Row of the file, 1 the first after the heading';
COMMENT ON COLUMN ml.imported_labels.created_at IS
    'When the comment was written; where the file does not say, its rows count as written one after the other';
COMMENT ON COLUMN ml.imported_labels.imported_at IS 'When it was imported (UTC)';
COMMENT ON COLUMN ml.imported_labels.rater IS 'Who labelled it; NULL if the file does not say';
COMMENT ON COLUMN ml.imported_labels.file_digest IS
    'SHA-256 of the rows that the file had: one that comes again as it was changes nothing';
COMMENT ON COLUMN ml.imported_labels.arrival IS
    'Which file it came with, counted from 1: of what a rater says of a comment the last to arrive counts. NULL: of '
    'before arrivals were counted, and earlier than all';

-- name: superseded
-- What stands of the same comments and raters and is said otherwise now; and the number of this arrival.
WITH said AS (
    SELECT about, rater, list(category ORDER BY category) AS categories
    FROM (SELECT *, label_subject(comment_id, body, path) AS about FROM labels_to_add)
    GROUP BY ALL
),
standing AS (
    SELECT about, rater, list(category ORDER BY category) AS categories
    FROM judged_labels('ml.imported_labels')
    WHERE status <> 'superseded'
    GROUP BY ALL
)
SELECT
    coalesce(sum(len(standing.categories)), 0)::BIGINT AS superseded,
    (SELECT coalesce(max(arrival), 0) + 1 FROM ml.imported_labels) AS arrival
FROM said
INNER JOIN standing ON said.about = standing.about AND said.rater IS NOT DISTINCT FROM standing.rater
WHERE said.categories <> standing.categories
    AND $digest NOT IN (SELECT file_digest FROM ml.imported_labels WHERE file_digest IS NOT NULL);

-- name: add
-- A rater's rows of a comment come together or not at all, as they are one opinion.
INSERT INTO ml.imported_labels BY NAME
WITH said AS (
    SELECT *, label_subject(comment_id, body, path) AS about FROM labels_to_add
),
opinions AS (
    SELECT about, rater, list(category ORDER BY category) AS categories FROM said GROUP BY ALL
),
standing AS (
    SELECT about, rater, list(category ORDER BY category) AS categories
    FROM judged_labels('ml.imported_labels')
    WHERE status <> 'superseded'
    GROUP BY ALL
),
new_opinions AS (
    SELECT opinions.about, opinions.rater
    FROM opinions
    LEFT JOIN standing ON opinions.about = standing.about AND opinions.rater IS NOT DISTINCT FROM standing.rater
    WHERE opinions.categories IS DISTINCT FROM standing.categories
)
SELECT
    said.* EXCLUDE (about),
    $digest AS file_digest,
    $arrival::BIGINT AS arrival,
    -4503599627370496 - $arrival::BIGINT * 16777216 - said.row_number AS label_id
FROM said
INNER JOIN new_opinions ON said.about = new_opinions.about AND said.rater IS NOT DISTINCT FROM new_opinions.rater
WHERE $digest NOT IN (SELECT file_digest FROM ml.imported_labels WHERE file_digest IS NOT NULL);

-- name: verdicts
-- What becomes of the rows of one arrival.
SELECT
    labels.comment_id,
    labels.category,
    CASE
        WHEN labels.status <> 'used' OR labels.comment_id IS NULL THEN labels.status
        WHEN comments.comment_id IS NULL THEN 'waiting'
        WHEN feedback.comment_id IS NOT NULL OR comments.in_reply_to_id IS NOT NULL
            OR trim(coalesce(comments.body, '')) = '' OR comments.created_at IS NULL
            OR is_machine('ops.machine_accounts', comments.author_is_bot, comments.author_id) THEN 'left_out'
        ELSE 'used'
    END AS status
FROM judged_labels('ml.imported_labels') AS labels
LEFT JOIN raw.review_comments AS comments ON labels.comment_id = comments.comment_id
LEFT JOIN newest_feedback('ml.feedback', 'comment_category', 'category') AS feedback
    ON labels.comment_id = feedback.comment_id
WHERE labels.arrival = $arrival;

-- name: votes
-- Opinions that stand, of comments that several have labelled; who is not named is the nth of them.
SELECT
    about, category,
    coalesce(
        rater,
        'rater ' || row_number() OVER (PARTITION BY about, rater IS NULL ORDER BY arrival, row_number, label_id)
    ) AS rater
FROM judged_labels('ml.imported_labels')
WHERE status <> 'superseded'
QUALIFY count(*) OVER (PARTITION BY about) > 1
ORDER BY ALL;

-- name: origins
SELECT origin, category, count(*) AS comments
FROM ml.imported_labels
GROUP BY origin, category
UNION ALL
SELECT 'feedback', label, count(*)
FROM ml.feedback
WHERE model = 'comment_category'
GROUP BY label
ORDER BY origin, category;
