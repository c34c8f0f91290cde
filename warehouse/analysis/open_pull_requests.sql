-- name: table
CREATE TABLE analysis.open_pull_requests (
    position BIGINT PRIMARY KEY,
    repository VARCHAR NOT NULL,
    number BIGINT NOT NULL,
    title VARCHAR,
    author VARCHAR,
    link VARCHAR,
    opened_at TIMESTAMP NOT NULL,
    as_of TIMESTAMP NOT NULL,
    waited_hours DOUBLE NOT NULL,
    expected_hours DOUBLE,
    ratio DOUBLE,
    within_hours DOUBLE,
    expectation VARCHAR,
    next_to_act VARCHAR NOT NULL CHECK (next_to_act IN ('author', 'reviewers')),
    because VARCHAR NOT NULL,
    last_act_at TIMESTAMP NOT NULL,
    repo_id BIGINT NOT NULL -- forge id
);
COMMENT ON TABLE analysis.open_pull_requests IS
    'Open pull requests of people, a work list: first what has waited longest for a first response against what was to '
    'be expected, then what has waited longest for its next step';
COMMENT ON COLUMN analysis.open_pull_requests.position IS 'Place in the list';
COMMENT ON COLUMN analysis.open_pull_requests.repository IS 'Repository, owner/name';
COMMENT ON COLUMN analysis.open_pull_requests.number IS 'Number within the repository';
COMMENT ON COLUMN analysis.open_pull_requests.title IS 'Title as it is now; a stranger''s words';
COMMENT ON COLUMN analysis.open_pull_requests.author IS 'Login of the author; ghost for a deleted account';
COMMENT ON COLUMN analysis.open_pull_requests.link IS 'Where to read it; NULL for what is made up or has no host';
COMMENT ON COLUMN analysis.open_pull_requests.opened_at IS 'When it was opened (UTC)';
COMMENT ON COLUMN analysis.open_pull_requests.as_of IS 'Up to when the repository was watched (UTC)';
COMMENT ON COLUMN analysis.open_pull_requests.waited_hours IS
    'Hours until then: since the opening while nobody has responded, else since the last act';
COMMENT ON COLUMN analysis.open_pull_requests.expected_hours IS
    'Median hours to the first response that were to be expected at the opening (first_response); NULL once there is '
    'one, for what was opened as a draft, and without a champion';
COMMENT ON COLUMN analysis.open_pull_requests.ratio IS 'waited_hours / expected_hours: above 1 it waits unusually long';
COMMENT ON COLUMN analysis.open_pull_requests.within_hours IS
    'Hours still to come within which 80 % of those that have waited so long have their first response';
COMMENT ON COLUMN analysis.open_pull_requests.expectation IS 'The same in words, or that hardly any waited so long';
COMMENT ON COLUMN analysis.open_pull_requests.next_to_act IS
    'Who is likely to act next, by a plain rule from the last acts of people: author or reviewers; pushes are not seen';
COMMENT ON COLUMN analysis.open_pull_requests.because IS 'The rule that says so';
COMMENT ON COLUMN analysis.open_pull_requests.last_act_at IS
    'When a person last acted on it: opened it, reviewed or commented (UTC)';
COMMENT ON COLUMN analysis.open_pull_requests.repo_id IS 'Repository, as other tables have it';

-- name: rows
WITH items AS (
    SELECT
        features.repo_id,
        features.number,
        features.opened_at,
        coalesce(features.observed_until, raw.observed_at) AS as_of,
        features.first_response_at,
        features.author_association IN ('OWNER', 'MEMBER', 'COLLABORATOR') OR features.author_merges_given_in_repo > 0
            AS may_merge,
        raw.author_id,
        raw.author_login,
        raw.title,
        raw.is_draft
    FROM features.pull_requests AS features
    INNER JOIN raw.pull_requests AS raw ON features.repo_id = raw.repo_id AND features.number = raw.number
    WHERE features.closed_at IS NULL AND raw.state IS DISTINCT FROM 'closed'
        AND NOT list_contains(features.exclusions, 'bot')
),
acts AS (
    SELECT repo_id, number, submitted_at AS t, author_id, author_login, author_is_bot, submitted_state AS verdict
    FROM raw.reviews
    UNION ALL
    SELECT repo_id, number, created_at, author_id, author_login, author_is_bot, NULL FROM raw.review_comments
    UNION ALL
    SELECT repo_id, number, created_at, author_id, author_login, author_is_bot, NULL FROM raw.issue_comments
),
-- Whoever is not known to be another person is the author: two deleted accounts cannot be told apart.
acts_of_people AS (
    SELECT
        items.repo_id,
        items.number,
        acts.t,
        acts.verdict,
        NOT coalesce(acts.author_id <> items.author_id, acts.author_login <> items.author_login, false) AS by_author
    FROM acts
    INNER JOIN items ON acts.repo_id = items.repo_id AND acts.number = items.number
    WHERE acts.t >= items.opened_at AND NOT is_machine('ops.machine_accounts', acts.author_is_bot, acts.author_id)
    UNION ALL
    SELECT repo_id, number, opened_at, NULL, true FROM items
),
authors_last AS (
    SELECT repo_id, number, max(t) AS t
    FROM acts_of_people
    WHERE by_author
    GROUP BY repo_id, number
),
-- What others did since the author last acted; at the same instant, too, as their word answers it.
others_since AS (
    SELECT
        acts_of_people.repo_id,
        acts_of_people.number,
        max(acts_of_people.t) AS t,
        arg_max(acts_of_people.verdict, acts_of_people.t)
            FILTER (acts_of_people.verdict IN ('APPROVED', 'CHANGES_REQUESTED')) AS verdict
    FROM acts_of_people
    INNER JOIN authors_last
        ON acts_of_people.repo_id = authors_last.repo_id AND acts_of_people.number = authors_last.number
    WHERE NOT acts_of_people.by_author AND acts_of_people.t >= authors_last.t
    GROUP BY acts_of_people.repo_id, acts_of_people.number
),
judged AS (
    SELECT
        items.*,
        coalesce(others_since.t, authors_last.t) AS last_act_at,
        CASE
            WHEN items.is_draft THEN 'it is a draft'
            WHEN items.first_response_at IS NULL THEN 'nobody has responded'
            WHEN others_since.t IS NULL THEN 'the author acted last'
            WHEN others_since.verdict = 'CHANGES_REQUESTED' THEN 'changes were requested'
            WHEN others_since.verdict = 'APPROVED' AND items.may_merge THEN 'approved, and the author may merge'
            WHEN others_since.verdict = 'APPROVED' THEN 'approved, and somebody else must merge'
            ELSE 'somebody else commented last'
        END AS because
    FROM items
    INNER JOIN authors_last ON items.repo_id = authors_last.repo_id AND items.number = authors_last.number
    LEFT JOIN others_since ON items.repo_id = others_since.repo_id AND items.number = others_since.number
),
waiting AS (
    SELECT
        judged.*,
        coalesce(repositories.repository, judged.repo_id::VARCHAR) AS repository,
        repositories.link || '/pull/' || judged.number AS link,
        greatest(
            epoch(
                judged.as_of
                - CASE WHEN judged.first_response_at IS NULL THEN judged.opened_at ELSE judged.last_act_at END
            ) / 3600, 0
        ) AS waited_hours,
        CASE WHEN judged.first_response_at IS NULL THEN waits.expected_hours END AS expected_hours,
        waited_hours / greatest(expected_hours, 1 / 60) AS ratio,
        CASE WHEN judged.first_response_at IS NULL THEN waits.within_hours END AS within_hours,
        CASE
            WHEN judged.first_response_at IS NULL AND waits.expected_hours IS NOT NULL
                THEN coalesce(waits.words, 'unknown: hardly any that was watched waited so long')
        END AS expectation
    FROM judged
    LEFT JOIN analysis.repositories AS repositories ON judged.repo_id = repositories.repo_id
    LEFT JOIN ml.waits AS waits
        ON judged.repo_id = waits.repo_id AND judged.number = waits.number AND waits.model = 'first_response'
)
SELECT
    row_number() OVER (
        ORDER BY ratio DESC NULLS LAST, waited_hours DESC, repository ASC, number ASC
    ) AS position,
    repository,
    number,
    title,
    author_login AS author,
    link,
    opened_at,
    as_of,
    waited_hours,
    expected_hours,
    ratio,
    within_hours,
    expectation,
    CASE
        WHEN
            because IN (
                'it is a draft', 'changes were requested', 'approved, and the author may merge',
                'somebody else commented last'
            )
            THEN 'author'
        ELSE 'reviewers'
    END AS next_to_act,
    because,
    last_act_at,
    repo_id
FROM waiting;

-- name: checks
SELECT
    count(*) AS rows,
    (
        SELECT count(*)
        FROM features.pull_requests AS features
        INNER JOIN raw.pull_requests AS raw ON features.repo_id = raw.repo_id AND features.number = raw.number
        WHERE features.closed_at IS NULL AND raw.state IS DISTINCT FROM 'closed'
            AND NOT list_contains(features.exclusions, 'bot')
    ) AS open_rows,
    count(*) FILTER (waited_hours < 0 OR within_hours < 0 OR expected_hours < 0) AS impossible
FROM analysis.open_pull_requests;
