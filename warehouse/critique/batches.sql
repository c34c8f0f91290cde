-- name: table
CREATE TABLE IF NOT EXISTS critique.batches (
    repo_id BIGINT PRIMARY KEY, -- forge id
    batch VARCHAR NOT NULL
);
COMMENT ON TABLE critique.batches IS
    'Which batch a repository''s comments are worked on in; a repository stays where it is';
COMMENT ON COLUMN critique.batches.repo_id IS 'Repository';
COMMENT ON COLUMN critique.batches.batch IS 'Name of the batch, which is a partition in Dagster';

-- name: assign
-- New repositories fill the last batch, then open new ones.
INSERT INTO critique.batches
WITH fresh AS (
    SELECT DISTINCT comments.repo_id
    FROM raw.review_comments AS comments
    ANTI JOIN critique.batches AS known ON comments.repo_id = known.repo_id
    WHERE comments.repo_id IS NOT NULL
),
placed AS (
    SELECT
        repo_id,
        (SELECT count(*) FROM critique.batches) + row_number() OVER (ORDER BY abs(repo_id), repo_id) - 1 AS place
    FROM fresh
)
SELECT repo_id, 'batch_' || lpad((place // $size + 1)::VARCHAR, 4, '0') AS batch FROM placed;

-- name: names
SELECT DISTINCT batch FROM critique.batches ORDER BY batch;

-- name: comments
-- Comments on the newest pull requests of each repository of a batch.
WITH ranked AS (
    SELECT
        comments.repo_id,
        comments.number,
        row_number() OVER (PARTITION BY comments.repo_id ORDER BY max(comments.created_at) DESC, comments.number DESC)
            AS place
    FROM raw.review_comments AS comments
    INNER JOIN critique.batches AS batches ON comments.repo_id = batches.repo_id
    WHERE batches.batch = $batch AND comments.vanished_at IS NULL AND comments.created_at IS NOT NULL
    GROUP BY comments.repo_id, comments.number
)
SELECT
    comments.comment_id,
    comments.in_reply_to_id,
    comments.repo_id,
    comments.number,
    comments.path,
    comments.diff_hunk,
    comments.body,
    comments.author_id,
    is_machine('ops.machine_accounts', comments.author_is_bot, comments.author_id) AS author_is_bot,
    coalesce(comments.author_id = pull_requests.author_id, false) AS is_pr_author,
    comments.created_at,
    repositories.name AS repo,
    -- The final change is another one after each update.
    pull_requests.updated_at AS pr_updated_at
FROM raw.review_comments AS comments
INNER JOIN ranked ON comments.repo_id = ranked.repo_id AND comments.number = ranked.number
LEFT JOIN raw.pull_requests AS pull_requests
    ON comments.repo_id = pull_requests.repo_id AND comments.number = pull_requests.number
LEFT JOIN raw.repositories AS repositories ON comments.repo_id = repositories.repo_id
WHERE ranked.place <= $most_prs AND comments.vanished_at IS NULL AND comments.created_at IS NOT NULL
ORDER BY comments.created_at, comments.comment_id;
