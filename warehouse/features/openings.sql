-- name: imagined
-- Imagined openings at one instant: of every author in every repository that they know, of every author in an
-- unknown one, and of an unknown author in every repository. The feature SQL then says what it would know of them.
-- They all happen at the same instant, so none is known to another. Each by every hand that has a history: what a
-- person, an assistant or an agent did under an account is each its own.
CREATE TABLE imagined AS
WITH pairs AS (
    SELECT items.repo_id, items.author_id, origins.hand
    FROM warehouse.raw.pull_requests AS items
    INNER JOIN
        origins(
            'warehouse.raw.pull_requests', 'warehouse.ml.deliveries', 'warehouse.ops.machine_accounts',
            $origin_rules, $origin_marks
        ) AS origins
        ON items.repo_id = origins.repo_id AND items.number = origins.number
    WHERE items.author_id IS NOT NULL AND items.created_at < $as_of
    UNION
    SELECT
        repo_id,
        author_id,
        CASE
            WHEN is_machine('warehouse.ops.machine_accounts', author_is_bot, author_id) THEN 'automation'
            ELSE 'person'
        END
    FROM warehouse.raw.issues
    WHERE author_id IS NOT NULL AND created_at < $as_of
    UNION
    SELECT rights.repo_id, rights.author_id, hands.hand
    FROM rights_used('warehouse.raw.reviews', 'warehouse.raw.pull_requests') AS rights
    CROSS JOIN (VALUES ('person'), ('assisted'), ('agent')) AS hands (hand)
    WHERE rights.t < $as_of
),
openings AS (
    SELECT repo_id, author_id, hand FROM pairs
    UNION ALL
    SELECT DISTINCT $unknown, author_id, hand FROM pairs
    UNION ALL
    SELECT DISTINCT repo_id, $unknown, 'person' FROM pairs
    UNION ALL
    SELECT $unknown, $unknown, 'person'
),
-- The standing that the platform last showed of an author in a repository.
shown_in_pull_requests AS (
    SELECT repo_id, author_id, arg_max(opened_author_association, created_at) AS association
    FROM warehouse.raw.pull_requests
    WHERE author_id IS NOT NULL AND created_at < $as_of AND opened_author_association IS NOT NULL
    GROUP BY repo_id, author_id
),
shown_in_issues AS (
    SELECT repo_id, author_id, arg_max(opened_author_association, created_at) AS association
    FROM warehouse.raw.issues
    WHERE author_id IS NOT NULL AND created_at < $as_of AND opened_author_association IS NOT NULL
    GROUP BY repo_id, author_id
)
SELECT
    openings.repo_id,
    $first_number - row_number() OVER () AS number,
    openings.author_id,
    openings.hand AS told_origin,
    false AS author_is_bot,
    'imagined' AS source,
    $as_of::TIMESTAMP AS created_at,
    '' AS opened_title,
    '' AS opened_body,
    shown_in_pull_requests.association AS association_in_pull_requests,
    shown_in_issues.association AS association_in_issues
FROM openings
LEFT JOIN shown_in_pull_requests
    ON openings.repo_id = shown_in_pull_requests.repo_id AND openings.author_id = shown_in_pull_requests.author_id
LEFT JOIN shown_in_issues
    ON openings.repo_id = shown_in_issues.repo_id AND openings.author_id = shown_in_issues.author_id;

-- name: overlay
-- What the feature SQL reads instead of the warehouse's own tables.
CREATE SCHEMA raw;
CREATE SCHEMA ops;
CREATE SCHEMA ml;
CREATE VIEW raw.reviews AS FROM warehouse.raw.reviews;
CREATE VIEW raw.files AS FROM warehouse.raw.files;
CREATE VIEW raw.review_requests AS FROM warehouse.raw.review_requests;
CREATE VIEW raw.label_events AS FROM warehouse.raw.label_events;
CREATE VIEW raw.issue_comments AS FROM warehouse.raw.issue_comments;
CREATE VIEW raw.review_comments AS FROM warehouse.raw.review_comments;
CREATE VIEW ops.machine_accounts AS FROM warehouse.ops.machine_accounts;
CREATE VIEW ops.coverage AS FROM warehouse.ops.coverage;
CREATE VIEW ml.feedback AS FROM warehouse.ml.feedback;
CREATE VIEW ml.closings AS FROM warehouse.ml.closings;
CREATE VIEW ml.predictions AS FROM warehouse.ml.predictions;
CREATE VIEW ml.deliveries AS FROM warehouse.ml.deliveries;
CREATE VIEW raw.pull_requests AS
FROM warehouse.raw.pull_requests
UNION ALL BY NAME
SELECT
    * EXCLUDE (association_in_pull_requests, association_in_issues),
    association_in_pull_requests AS opened_author_association,
    false AS opened_is_draft
FROM imagined;
CREATE VIEW raw.issues AS
FROM warehouse.raw.issues
UNION ALL BY NAME
SELECT
    * EXCLUDE (association_in_pull_requests, association_in_issues, told_origin),
    association_in_issues AS opened_author_association
FROM imagined
QUALIFY row_number() OVER (PARTITION BY repo_id, author_id ORDER BY told_origin <> 'person', told_origin) = 1;

-- name: end_of_data
-- Up to when anything has been watched: later, nobody has a history yet.
SELECT max(covered_until) FROM ops.coverage WHERE is_covered;

-- name: names
-- Names and logins change hands: on its forge, each is that of whom it was last seen with. So a name that was given up
-- leads to who had it, until somebody else has it.
WITH seen AS (
    SELECT 'repo' AS kind, name, repo_id AS id, observed_at FROM observed.repositories
    UNION ALL
    SELECT 'repo', name, repo_id, observed_at FROM raw.repositories
    UNION ALL
    SELECT 'author', login, user_id, observed_at FROM observed.users
    UNION ALL
    SELECT 'author', login, user_id, observed_at FROM raw.users
)
SELECT
    ops.forge_of(any_value(id)) AS forge,
    lower(name) AS name,
    arg_max(id, {'t': observed_at, 'id': id}) AS id,
    kind
FROM seen
WHERE name IS NOT NULL
GROUP BY kind, lower(name), forge_number(id);

-- name: tasks_of_pull_requests
SELECT features.*, texts.opened_title, texts.opened_body, lower(texts.author_login) AS author
FROM features.pull_requests AS features
INNER JOIN opened_texts('raw.pull_requests', 'ml.deliveries') AS texts
    ON features.repo_id = texts.repo_id AND features.number = texts.number
WHERE features.exclusion IS DISTINCT FROM 'opening_not_observed';

-- name: tasks_of_issues
SELECT features.*, texts.opened_title, texts.opened_body, lower(texts.author_login) AS author
FROM features.issues AS features
INNER JOIN raw.issues AS texts ON features.repo_id = texts.repo_id AND features.number = texts.number
WHERE features.exclusion IS DISTINCT FROM 'opening_not_observed';
