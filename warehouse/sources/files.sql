-- From the tables of data sets in files to rows of the raw tables. {table}, {columns} and their like are filled in from
-- the declarations of `warehouse/raw/`, so that a column of theirs is read as soon as it is declared.

-- name: macros
-- An id that nobody gave is made of a name, the same every time, and lies above those that forges give.
CREATE TEMP MACRO made_id(name) AS 549755813888 + (md5_number_lower(name) % 549755813888)::BIGINT;
-- A given id is believed where the data set says whose ids it has; 0 is nobody's, and what an id of ours cannot hold
-- (warehouse/macros.sql) is none.
CREATE TEMP MACRO believed(has_ids, given) AS CASE
    WHEN has_ids AND abs(TRY_CAST(given AS BIGINT)) BETWEEN 1 AND 1099511627775 THEN TRY_CAST(given AS BIGINT)
END;
CREATE TEMP MACRO id_of(has_ids, given, name) AS coalesce(believed(has_ids, given), made_id(name));
CREATE TEMP MACRO person_of(has_ids, given, login) AS CASE
    WHEN believed(has_ids, given) IS NOT NULL THEN believed(has_ids, given)
    WHEN coalesce(login, 'ghost') <> 'ghost' THEN made_id('user ' || lower(login))
    WHEN login IS NULL AND given IS NOT NULL THEN made_id('user ' || lower(given))
END;
CREATE TEMP MACRO whole(text) AS
    CASE WHEN regexp_full_match(text, '\s*-?\d+(\.0*)?\s*') THEN TRY_CAST(text AS BIGINT) END;
-- What programs write where they have nothing; texts of people may be any of it.
CREATE TEMP MACRO told(text) AS CASE
    WHEN strlen(text) > 4 THEN nullif(trim(text), '')
    WHEN lower(trim(text)) NOT IN ('', 'null', 'none', 'nan', 'nat', '<na>', 'na', 'n/a', '\n') THEN trim(text)
END;
-- A whole number that had to share its column with NULL is a fraction, in many programs.
CREATE TEMP MACRO whose_id(text) AS
    CASE WHEN ends_with(text, '0') THEN regexp_replace(told(text), '^(-?\d+)\.0+$', '\1') ELSE told(text) END;
CREATE TEMP MACRO truth(text) AS TRY_CAST(regexp_replace(text, '^([01])\.0+$', '\1') AS BOOLEAN);
-- A name is a text, not an object or a list of such.
CREATE TEMP MACRO plain_name(text) AS CASE WHEN NOT starts_with(text, '{') AND NOT starts_with(text, '[') THEN text END;
-- An instant, also as seconds since 1970 or their thousandths, millionths and so on: from 2001 to 2286 those have 10,
-- 13, 16 and 19 digits.
CREATE TEMP MACRO moment(text) AS CASE
    WHEN contains(text, '-') OR NOT regexp_full_match(text, '\d{10}(\.\d+)?|(\d{13}|\d{16}|\d{19})(\.0*)?')
        THEN instant(text)
    ELSE make_timestamp(floor(
        TRY_CAST(text AS DECIMAL(38, 6)) * 10::DECIMAL(38, 6) ^ (16 - strlen(split_part(text, '.', 1)))
    )::BIGINT)
END;
-- A review in GitHub's words; what the one who gives it says is what it is then.
CREATE TEMP MACRO verdict_of(word) AS CASE regexp_replace(upper(word), '[ -]', '_', 'g')
    WHEN 'APPROVE' THEN 'APPROVED'
    WHEN 'REQUEST_CHANGES' THEN 'CHANGES_REQUESTED'
    WHEN 'REQUESTED_CHANGES' THEN 'CHANGES_REQUESTED'
    WHEN 'COMMENT' THEN 'COMMENTED'
    ELSE regexp_replace(upper(word), '[ -]', '_', 'g')
END;
-- Open or closed, in the words of the forges; NULL for others.
CREATE TEMP MACRO state_of(word) AS CASE
    WHEN lower(word) IN ('open', 'opened', 'reopened', 'new', 'draft', 'to do', 'in progress', 'in review') THEN 'open'
    WHEN lower(word) IN (
        'closed', 'merged', 'abandoned', 'declined', 'rejected', 'superseded', 'resolved', 'done', 'completed', 'fixed'
    ) THEN 'closed'
END;

-- name: inputs
CREATE TABLE input_{table} (
    data_set INTEGER, file VARCHAR, line BIGINT, given VARCHAR[], unreadable VARCHAR[], {columns}
);

-- name: read
INSERT INTO input_{table} BY NAME
WITH texts AS (SELECT {line} AS line_of_file, {texts} FROM read_parquet($paths, union_by_name = true{options})),
told AS (SELECT line_of_file, {told} FROM texts),
-- Each step by itself, as a text that is named many times would be made many times.
valued AS (SELECT *, {values} FROM told)
SELECT
    $data_set AS data_set, $file AS file, line_of_file AS line, $given::VARCHAR[] AS given,
    list_filter([{unreadable}]::VARCHAR[], lambda reason: reason IS NOT NULL) AS unreadable, {columns}
FROM valued;

-- name: named_letters
UPDATE input_{table} SET unreadable = list_concat(
    unreadable, list_filter([{broken}]::VARCHAR[], lambda reason: reason IS NOT NULL)
);
INSERT INTO letters
SELECT data_set, partition_date, file, 'bad_row', array_to_string(unreadable, '; '), line, NULL
FROM input_{table}
WHERE len(unreadable) > 0;

-- name: repositories_named
-- What the data sets call their repositories, and the ids that they give them.
CREATE TABLE repositories_named AS
WITH mentions AS ({mentions}),
names AS (
    SELECT data_set, repo_id, arg_min(repo, line) AS repo
    FROM mentions
    WHERE repo IS NOT NULL AND repo_id IS NOT NULL
    GROUP BY data_set, repo_id
),
named AS (
    SELECT data_set, coalesce(mentions.repo, names.repo, mentions.repo_id) AS repo, mentions.repo_id, t
    FROM mentions
    LEFT JOIN names USING (data_set, repo_id)
    WHERE mentions.repo IS NOT NULL OR mentions.repo_id IS NOT NULL
),
-- One that was made anew under an old name is another: where ids are believed, the name alone is neither.
ids AS (
    SELECT data_set, lower(repo) AS name_key, count(DISTINCT repo_id) AS ids FROM named GROUP BY ALL
)
SELECT
    named.data_set, ids.name_key, min(repo) AS repo, max(repo_id) AS given_id,
    id_of(any_value(has_ids), max(repo_id), 'repo ' || ids.name_key) AS repo_id, any_value(ids) AS ids,
    bool_or(ids <= 1 OR NOT has_ids) AS is_one, max(t) AS seen_at
FROM named
INNER JOIN ids ON named.data_set = ids.data_set AND lower(named.repo) = ids.name_key
INNER JOIN data_sets ON named.data_set = data_sets.data_set
WHERE NOT has_ids OR ids <= 1 OR repo_id IS NOT NULL
GROUP BY named.data_set, ids.name_key, CASE WHEN has_ids AND ids > 1 THEN repo_id END;
CREATE TABLE repository_ids AS
SELECT data_set, given_id, min(repo_id) AS repo_id, arg_max(repo, row(coalesce(seen_at, '-infinity'), repo)) AS repo
FROM repositories_named
WHERE given_id IS NOT NULL
GROUP BY data_set, given_id;
CREATE TABLE only_repositories AS
SELECT data_set, any_value(repo_id) AS repo_id, any_value(repo) AS repo
FROM repositories_named
GROUP BY data_set
HAVING count(*) = 1;
-- An id may be one within its repository only: of those of several, what names no repository is nobody's.
CREATE TABLE pull_request_ids AS
SELECT
    data_set, pr_id, lower(repo) AS name_key, any_value(repo_id) AS given_id, any_value(number) AS number,
    count(*) OVER (PARTITION BY data_set, pr_id) = 1 AS is_one
FROM input_pull_requests
WHERE pr_id IS NOT NULL
GROUP BY data_set, pr_id, lower(repo)
HAVING count(DISTINCT number) = 1;

-- name: two_ids
-- A repository that two data sets give different ids, or one whose ids are not believed two.
SELECT any_value(repo), list(DISTINCT data_sets.name ORDER BY data_sets.name)
FROM repositories_named
INNER JOIN data_sets USING (data_set)
GROUP BY name_key
HAVING (count(DISTINCT data_set) > 1 AND count(DISTINCT repo_id) > 1) OR (max(ids) > 1 AND NOT bool_and(has_ids))
LIMIT 1;

-- name: placed
-- Rows with the repository that they belong to: by its name or id, by the pull request's id, or the only one.
CREATE TABLE placed_{table} AS
SELECT
    input.* EXCLUDE (repo_id, repo, number, {ids}),
    coalesce(
        CASE WHEN has_ids THEN by_id.repo_id END,
        by_name.repo_id, by_id.repo_id,
        CASE WHEN has_ids THEN their_id.repo_id END,
        their_name.repo_id, their_id.repo_id, sole.repo_id
    ) AS repo_id,
    coalesce(by_name.repo, by_id.repo, their_name.repo, their_id.repo, sole.repo) AS repo,
    coalesce(input.number, items.number, there.number) AS number,
    {placed_ids},
    data_sets.extracted_at
FROM input_{table} AS input
INNER JOIN data_sets ON input.data_set = data_sets.data_set
LEFT JOIN pull_request_ids AS items
    ON input.data_set = items.data_set AND input.pr_id = items.pr_id AND items.is_one
LEFT JOIN pull_request_ids AS there
    ON input.data_set = there.data_set AND input.pr_id = there.pr_id AND lower(input.repo) = there.name_key
LEFT JOIN repositories_named AS by_name
    ON input.data_set = by_name.data_set AND lower(input.repo) = by_name.name_key AND by_name.is_one
LEFT JOIN repository_ids AS by_id ON input.data_set = by_id.data_set AND input.repo_id = by_id.given_id
LEFT JOIN repositories_named AS their_name
    ON input.data_set = their_name.data_set AND items.name_key = their_name.name_key AND their_name.is_one
LEFT JOIN repository_ids AS their_id ON input.data_set = their_id.data_set AND items.given_id = their_id.given_id
LEFT JOIN only_repositories AS sole ON input.data_set = sole.data_set;

-- name: shape_pull_requests
-- Open, or closed: what a data set calls merged is closed, and a merge closes. A time of closing that is not told stays
-- unknown; of what is called merged it is that of the merge.
SELECT
    * REPLACE (
        CASE
            WHEN state_of(state) IS NOT NULL THEN state_of(state)
            WHEN closed_at IS NOT NULL OR merged_at IS NOT NULL THEN 'closed'
            WHEN state IS NULL AND list_contains(given, 'closed_at') THEN 'open'
        END AS state,
        CASE WHEN state_of(state) IS DISTINCT FROM 'open' THEN coalesce(closed_at, merged_at) END AS closed_at,
        coalesce(merged_at, CASE WHEN lower(state) = 'merged' THEN closed_at END) AS merged_at,
        -- What a merge queue names so has landed, though the forge shows it as closed; other titles of a dump are of
        -- whatever day.
        coalesce(closed_title, CASE WHEN closed_at IS NOT NULL AND says_landed(title) THEN title END) AS closed_title
    ),
    state AS told_state,
    created_at AS happened_at,
    greatest(created_at, closed_at, merged_at) AS latest_at,
    closed_at < created_at OR merged_at < created_at AS is_backwards
FROM placed_pull_requests

-- name: shape_issues
SELECT
    * REPLACE (
        CASE
            WHEN state_of(state) IS NOT NULL THEN state_of(state)
            WHEN closed_at IS NOT NULL THEN 'closed'
            WHEN state IS NULL AND list_contains(given, 'closed_at') THEN 'open'
        END AS state,
        CASE WHEN state_of(state) IS DISTINCT FROM 'open' THEN closed_at END AS closed_at
    ),
    state AS told_state,
    created_at AS happened_at,
    greatest(created_at, closed_at) AS latest_at,
    closed_at < created_at AS is_backwards
FROM placed_issues

-- name: shape_reviews
-- What a dismissed review had said is not known.
SELECT
    * REPLACE (
        verdict_of(state) AS state,
        coalesce(
            verdict_of(submitted_state),
            CASE WHEN verdict_of(state) IN ('APPROVED', 'CHANGES_REQUESTED', 'COMMENTED') THEN verdict_of(state) END
        ) AS submitted_state
    ),
    submitted_at AS happened_at, submitted_at AS latest_at, false AS is_backwards
FROM placed_reviews

-- name: shape_label_events
SELECT
    * REPLACE (lower(regexp_replace(action, 'Event$', '')) AS action),
    created_at AS happened_at, created_at AS latest_at, false AS is_backwards
FROM placed_label_events
WHERE lower(regexp_replace(action, 'Event$', '')) IN ('labeled', 'unlabeled') OR NOT list_contains(given, 'event')

-- name: shape_review_requests
-- Whom is not always told; of several who were asked in one second only one is left then.
SELECT
    * REPLACE (
        CASE
            WHEN regexp_full_match(action, '(review_?)?requested(event)?', 'i') THEN 'requested'
            WHEN regexp_full_match(action, '(review_?request_?)?removed(event)?', 'i') THEN 'removed'
            ELSE lower(action)
        END AS action,
        coalesce(reviewer_login, '') AS reviewer_login
    ),
    created_at AS happened_at, created_at AS latest_at, false AS is_backwards
FROM placed_review_requests AS placed
WHERE NOT list_contains(given, 'event') OR regexp_full_match(action, 'review_?request(ed|_?removed)(event)?', 'i')
QUALIFY placed.reviewer_login <> '' OR row_number() OVER (
    PARTITION BY data_set, repo_id, number, lower(action), created_at ORDER BY line
) = 1

-- name: shape_files
-- A file belongs to the day on which its pull request was opened.
SELECT files.*, items.created_at AS happened_at, items.created_at AS latest_at, false AS is_backwards
FROM placed_files AS files
LEFT JOIN (
    SELECT data_set, repo_id, number, max(created_at) AS created_at FROM placed_pull_requests GROUP BY ALL
) AS items USING (data_set, repo_id, number)

-- name: shape
SELECT *, {happened_at} AS happened_at, {happened_at} AS latest_at, false AS is_backwards FROM placed_{table}

-- name: judged
CREATE TABLE judged_{table} AS
WITH shaped AS ({shape}),
judged AS (
    SELECT
        *,
        coalesce(happened_at::DATE, partition_date) AS day,
        list_filter(
            list_concat(
                unreadable,
                [
                    {broken},
                    CASE WHEN repo_id IS NULL THEN 'it does not say which repository it belongs to' END,
                    CASE WHEN is_backwards THEN 'it was closed before it was opened' END,
                    CASE WHEN latest_at > extracted_at THEN 'it is later than the extraction of the data set' END,
                    CASE WHEN day IS NULL THEN 'it does not say when it happened' END,
                    CASE WHEN happened_at < TIMESTAMP '1990-01-01' THEN 'it is dated before 1990: is that known?' END
                ]
            ),
            lambda reason: reason IS NOT NULL
        ) AS reasons
    FROM shaped
)
SELECT
    *,
    CASE WHEN len(reasons) > 0 THEN 'bad_row' END AS error_type
FROM judged;
-- Of rows with the same key in one data set the last counts; of two data sets that of the newer extraction.
UPDATE judged_{table} SET error_type = 'duplicate', reasons = ['a later row has the same key ({keys})']
FROM (
    SELECT data_set AS s, file AS f, line AS l
    FROM judged_{table}
    WHERE error_type IS NULL
    QUALIFY row_number() OVER (PARTITION BY data_set, {keys} ORDER BY line DESC, file) > 1
) AS older
WHERE data_set = s AND file = f AND line = l;

-- name: letters
INSERT INTO letters
SELECT data_set, day, file, error_type, array_to_string(reasons, '; '), line, repo
FROM judged_{table}
WHERE error_type IS NOT NULL;

-- name: endings_untold
-- Not merged is a verdict: it is not taken from silence.
SELECT any_value(file)
FROM judged_pull_requests
WHERE error_type IS NULL
GROUP BY data_set
HAVING count(closed_at) > 0
    AND NOT bool_or(list_contains(given, 'merged_at') OR coalesce(lower(told_state), '') = 'merged')
LIMIT 1;

-- name: sizes
-- Where pull_requests does not tell the sizes at the opening, they are sums over the commits of before it, as they are
-- when GitHub is read. A commit that could not be read leaves a sum that nobody knows.
CREATE TABLE sizes AS
SELECT
    repo_id, number, count(*) AS opened_commits,
    CASE WHEN count(commits.additions) = count(*) THEN sum(commits.additions)::BIGINT END AS opened_additions,
    CASE WHEN count(commits.deletions) = count(*) THEN sum(commits.deletions)::BIGINT END AS opened_deletions
FROM judged_commits AS commits
INNER JOIN judged_pull_requests AS items USING (data_set, repo_id, number)
WHERE (commits.committed_at <= items.created_at OR commits.error_type IS NOT NULL) AND items.error_type IS NULL
    AND NOT list_has_any(items.given, ['opened_commits', 'opened_additions', 'opened_deletions'])
GROUP BY repo_id, number
HAVING count(commits.error_type) = 0;
UPDATE judged_pull_requests AS items SET
    opened_commits = sizes.opened_commits,
    opened_additions = sizes.opened_additions,
    opened_deletions = sizes.opened_deletions
FROM sizes
WHERE items.repo_id = sizes.repo_id AND items.number = sizes.number;

-- name: reviewers
-- How many were asked at the opening, of those of which any event is told: of others nobody knows whether it is none.
UPDATE judged_pull_requests AS items SET opened_reviewers = asked.reviewers
FROM (
    SELECT there.data_set, there.repo_id, there.number, count(requests.number) AS reviewers
    FROM (
        SELECT placed.data_set, placed.repo_id, placed.number, any_value(opened.created_at) AS created_at
        FROM placed_{events} AS placed
        INNER JOIN judged_pull_requests AS opened USING (data_set, repo_id, number)
        GROUP BY placed.data_set, placed.repo_id, placed.number
    ) AS there
    LEFT JOIN judged_review_requests AS requests
        ON there.data_set = requests.data_set AND there.repo_id = requests.repo_id AND there.number = requests.number
        AND requests.error_type IS NULL AND requests.action = 'requested'
        AND is_with_opening(requests.created_at, there.created_at)
    GROUP BY ALL
) AS asked
WHERE items.data_set = asked.data_set AND items.repo_id = asked.repo_id AND items.number = asked.number
    AND items.opened_reviewers IS NULL;

-- name: rows
CREATE TABLE rows_{table} AS
SELECT {columns}, data_set, repo, 'files' AS source, extracted_at AS observed_at, day AS partition_date
FROM judged_{table}
WHERE error_type IS NULL
QUALIFY row_number() OVER (PARTITION BY {keys} ORDER BY extracted_at DESC, data_set DESC) = 1;

-- name: observations
-- A day shows what happened on it: an item is seen twice, as it was opened and as it ended.
CREATE TABLE openings AS
SELECT * REPLACE ('open' AS state, {not_yet}) FROM rows_{table} WHERE closed_at::DATE > partition_date;
UPDATE rows_{table} SET partition_date = greatest(closed_at::DATE, partition_date) WHERE closed_at IS NOT NULL;
INSERT INTO rows_{table} BY NAME FROM openings;
DROP TABLE openings;

-- name: first_day
SELECT min(partition_date) FROM (
    SELECT partition_date FROM rows_pull_requests UNION ALL SELECT partition_date FROM rows_issues
) AS items;

-- name: on_days
UPDATE rows_{table} SET partition_date = $first_day WHERE partition_date < $first_day;

-- name: active
-- Repositories and accounts are seen on every day on which something of theirs is.
CREATE TABLE active AS {activity};

-- name: repositories
COPY (
    WITH days AS (SELECT DISTINCT repo_id, partition_date FROM active WHERE repo_id IS NOT NULL),
    newest AS (
        SELECT * FROM repositories_named INNER JOIN data_sets USING (data_set)
        -- Of the names that it had, the last.
        QUALIFY row_number() OVER (
            PARTITION BY repo_id ORDER BY extracted_at DESC, data_set DESC, seen_at DESC NULLS LAST, name_key
        ) = 1
    ),
    told AS (
        SELECT input.* EXCLUDE (repo_id, file, line, given, unreadable, repo, number, partition_date), named.repo_id
        FROM input_repositories AS input
        INNER JOIN repositories_named AS named
            ON input.data_set = named.data_set
            AND coalesce(lower(input.name), input.repo_id) = coalesce(named.name_key, named.given_id)
            AND (named.is_one OR input.repo_id = named.given_id)
        WHERE len(input.unreadable) = 0
        QUALIFY row_number() OVER (PARTITION BY input.data_set, named.repo_id ORDER BY line DESC) = 1
    )
    SELECT
        newest.repo_id, coalesce(told.name, newest.repo) AS name,
        told.* EXCLUDE (data_set, repo_id, name, pr_id, watched_until),
        least(told.watched_until, newest.extracted_at) AS watched_until, 'files' AS source,
        newest.extracted_at AS observed_at,
        coalesce(days.partition_date, $first_day::DATE) AS partition_date
    FROM newest
    LEFT JOIN days USING (repo_id)
    LEFT JOIN told ON newest.repo_id = told.repo_id AND newest.data_set = told.data_set
) TO $target (FORMAT parquet);

-- name: users
COPY (
    WITH told AS (
        SELECT
            person_of(has_ids, user_id, login) AS person, arg_max(login, line) AS login, arg_max(type, line) AS type,
            arg_max(is_bot, line) AS is_bot
        FROM input_users
        INNER JOIN data_sets USING (data_set)
        WHERE len(unreadable) = 0
        GROUP BY person
    ),
    seen AS (
        SELECT
            author_id AS user_id, partition_date, arg_max(author_login, observed_at) AS login,
            bool_or(author_is_bot) AS is_bot, max(observed_at) AS observed_at
        FROM active
        WHERE author_id IS NOT NULL
        GROUP BY author_id, partition_date
    )
    SELECT
        coalesce(person, seen.user_id) AS user_id, coalesce(told.login, seen.login) AS login, told.type,
        coalesce(told.is_bot, seen.is_bot) AS is_bot,
        'files' AS source, coalesce(observed_at, $newest::TIMESTAMP) AS observed_at,
        coalesce(partition_date, $first_day::DATE) AS partition_date
    FROM seen
    FULL JOIN told ON seen.user_id = person
    WHERE coalesce(person, seen.user_id) IS NOT NULL
) TO $target (FORMAT parquet);

-- name: two_logins
-- Two logins that were made the same id of.
SELECT min(author_login), max(author_login)
FROM active
WHERE author_id >= 549755813888 AND author_login IS NOT NULL
GROUP BY author_id
HAVING count(DISTINCT lower(author_login)) > 1
LIMIT 1;

-- name: loaded_before
SELECT DISTINCT name
FROM observed.repositories
WHERE source = 'files' AND ops.forge_of(repo_id) = $forge AND name IS NOT NULL;
