-- name: forget
DELETE FROM raw.pull_requests;
DELETE FROM raw.label_events;

-- name: labels
INSERT INTO raw.label_events BY NAME
SELECT DISTINCT
    1 AS repo_id, 1 AS number, unnest($labels::VARCHAR[]) AS label, 'labeled' AS action,
    $opened_at::TIMESTAMP AS created_at, 'webhook' AS source, $opened_at::TIMESTAMP AS observed_at,
    $opened_at::DATE AS partition_date;

-- name: opening
INSERT INTO raw.pull_requests BY NAME
SELECT
    1 AS repo_id, 1 AS number, 1 AS author_id, $author AS author_login, $author_is_bot AS author_is_bot,
    $head_ref AS head_ref,
    $opened_at::TIMESTAMP AS created_at, $title AS opened_title, $body AS opened_body, false AS opened_is_draft,
    $association AS opened_author_association, $additions AS opened_additions, $deletions AS opened_deletions,
    $changed_files AS opened_changed_files, $commits AS opened_commits,
    $base_ref AS opened_base_ref, $is_from_fork AS is_from_fork, $reviewers AS opened_reviewers,
    'webhook' AS source, $opened_at::TIMESTAMP AS observed_at, $opened_at::DATE AS partition_date;

-- name: is_bot
SELECT is_bot($login, $account_type) OR list_contains($machines::VARCHAR[], lower($login));

-- name: is_landed
SELECT says_landed($title);
