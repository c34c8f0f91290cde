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
    imported_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE ml.imported_labels IS 'Labelled review comments from files (qc labels import), and those of the demo';
COMMENT ON COLUMN ml.imported_labels.label_id IS
    'Hash of origin, text, path and comment: importing a file twice changes nothing';
COMMENT ON COLUMN ml.imported_labels.comment_id IS
    'Comment in raw.review_comments that is meant; NULL if it is not from there';
COMMENT ON COLUMN ml.imported_labels.body IS 'The comment';
COMMENT ON COLUMN ml.imported_labels.path IS 'File that it is about';
COMMENT ON COLUMN ml.imported_labels.category IS 'The category that a person gave';
COMMENT ON COLUMN ml.imported_labels.origin IS 'Name of the file, or demo';
COMMENT ON COLUMN ml.imported_labels.row_number IS 'Row of the file, 1 the first after the heading';
COMMENT ON COLUMN ml.imported_labels.created_at IS
    'When the comment was written; where the file does not say, its rows count as written one after the other';
COMMENT ON COLUMN ml.imported_labels.imported_at IS 'When it was imported (UTC)';

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
