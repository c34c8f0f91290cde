-- From GH Archive's events to rows of the raw tables. Every section from `pull_requests` on gives one row a key: within
-- a day the newest value that is not NULL, column by column, as `merge.sql` does between days.

-- name: types
-- Types of event that are read, and those that are known and say nothing of use. Whatever is neither is told of.
SELECT
    [
        'PullRequestEvent', 'PullRequestReviewEvent', 'PullRequestReviewCommentEvent', 'IssuesEvent',
        'IssueCommentEvent'
    ] AS useful,
    [
        'PushEvent', 'CreateEvent', 'DeleteEvent', 'WatchEvent', 'ForkEvent', 'GollumEvent', 'ReleaseEvent',
        'MemberEvent', 'PublicEvent', 'CommitCommentEvent', 'PullRequestReviewThreadEvent', 'SponsorshipEvent',
        'DiscussionEvent', 'DiscussionCommentEvent', 'TeamAddEvent', 'FollowEvent', 'GistEvent', 'DownloadEvent',
        'ForkApplyEvent', 'DeploymentEvent', 'DeploymentStatusEvent', 'StatusEvent'
    ] AS of_no_use;

-- name: event
-- What is read of an event. Timestamps stay text: one that cannot be read is told from one that is not there.
SELECT NULL::STRUCT(
    line BIGINT, -- of the file, where it had to be read line by line
    id VARCHAR,
    type VARCHAR,
    actor STRUCT(id BIGINT, login VARCHAR),
    repo STRUCT(id BIGINT, name VARCHAR),
    created_at VARCHAR,
    payload STRUCT(
        action VARCHAR,
        label STRUCT(name VARCHAR),
        pull_request STRUCT(
            id BIGINT, number BIGINT, state VARCHAR, title VARCHAR, body VARCHAR, draft BOOLEAN,
            "user" STRUCT(id BIGINT, login VARCHAR, type VARCHAR), author_association VARCHAR,
            created_at VARCHAR, updated_at VARCHAR, closed_at VARCHAR, merged_at VARCHAR,
            merged_by STRUCT(id BIGINT),
            additions BIGINT, deletions BIGINT, changed_files BIGINT, commits BIGINT,
            labels STRUCT(name VARCHAR)[],
            requested_reviewers STRUCT(id BIGINT, login VARCHAR)[], requested_teams STRUCT(slug VARCHAR)[],
            head STRUCT("ref" VARCHAR, repo STRUCT(id BIGINT)),
            base STRUCT("ref" VARCHAR, repo STRUCT(
                id BIGINT, full_name VARCHAR, language VARCHAR, stargazers_count BIGINT, fork BOOLEAN,
                created_at VARCHAR
            ))
        ),
        issue STRUCT(
            id BIGINT, number BIGINT, state VARCHAR, state_reason VARCHAR, title VARCHAR, body VARCHAR,
            comments BIGINT,
            "user" STRUCT(id BIGINT, login VARCHAR, type VARCHAR), author_association VARCHAR,
            created_at VARCHAR, updated_at VARCHAR, closed_at VARCHAR,
            labels STRUCT(name VARCHAR)[],
            pull_request STRUCT(url VARCHAR, html_url VARCHAR)
        ),
        comment STRUCT(
            id BIGINT, "user" STRUCT(id BIGINT, login VARCHAR, type VARCHAR), author_association VARCHAR,
            body VARCHAR, path VARCHAR, diff_hunk VARCHAR, in_reply_to_id BIGINT,
            pull_request_review_id BIGINT, created_at VARCHAR, updated_at VARCHAR
        ),
        review STRUCT(
            id BIGINT, "user" STRUCT(id BIGINT, login VARCHAR, type VARCHAR), author_association VARCHAR,
            body VARCHAR, state VARCHAR, submitted_at VARCHAR
        )
    )
) AS event;

-- name: read
-- Events of pull requests and issues, and whatever nobody can tell what it is. `refusal` says why an event is a dead
-- letter. GitHub takes texts of 65,536 characters, so that what has more than twice their bytes is none of its own; a
-- transaction holds the texts of a day in memory. What is JSON in some other sense than ours is an error, unless the
-- lines have been looked at before.
WITH events AS (
    SELECT
        filename,
        line,
        id,
        type,
        coalesce(repo.id, payload.pull_request.base.repo.id) AS repo_id,
        coalesce(repo.name, payload.pull_request.base.repo.full_name) AS repo_name,
        actor.id AS actor_id,
        actor.login AS actor_login,
        instant(created_at) AS event_at,
        payload.action AS action,
        payload.label.name AS label,
        payload.pull_request AS pull_request,
        payload.issue AS issue,
        payload.comment AS comment,
        payload.review AS review
    FROM read_json(
        $files,
        format = 'newline_delimited',
        compression = 'gzip',
        ignore_errors = $lenient,
        filename = true,
        maximum_object_size = $max_line,
        columns = $columns
    )
    WHERE type IS NULL OR NOT list_contains($of_no_use::VARCHAR[], type)
)
SELECT
    *,
    CASE
        WHEN type IS NULL THEN 'malformed_line'
        WHEN NOT list_contains($useful::VARCHAR[], type) THEN 'unknown_type'
        WHEN repo_id IS NULL THEN 'no_repository'
        WHEN event_at IS NULL OR event_at < TIMESTAMP '2007-10-01' OR event_at > $day::DATE + INTERVAL 2 DAY
            OR list_has_any([false], list_transform(
                [
                    pull_request.created_at, pull_request.updated_at, pull_request.closed_at, pull_request.merged_at,
                    pull_request.base.repo.created_at, issue.created_at, issue.updated_at, issue.closed_at,
                    comment.created_at, comment.updated_at, review.submitted_at
                ],
                lambda text: text IS NULL OR coalesce(
                    instant(text) BETWEEN TIMESTAMP '1970-01-01' AND $day::DATE + INTERVAL 2 DAY, false
                )
            ))
            THEN 'impossible_time'
        WHEN
            CASE type
                WHEN 'PullRequestEvent' THEN pull_request.number
                WHEN 'PullRequestReviewEvent' THEN least(pull_request.number, coalesce(review.id, 0))
                WHEN 'PullRequestReviewCommentEvent' THEN least(pull_request.number, coalesce(comment.id, 0))
                WHEN 'IssuesEvent' THEN issue.number
                WHEN 'IssueCommentEvent' THEN least(issue.number, coalesce(comment.id, 0))
                ELSE 1
            END < 1
            OR starts_with(type, 'PullRequest') AND pull_request.number IS NULL
            OR starts_with(type, 'Issue') AND issue.number IS NULL
            THEN 'no_item'
        WHEN least(
            repo_id, actor_id, pull_request.id, pull_request."user".id, pull_request.merged_by.id, issue.id,
            issue."user".id, comment.id, comment."user".id, review.id, review."user".id,
            pull_request.additions, pull_request.deletions, pull_request.changed_files, pull_request.commits,
            issue.comments, pull_request.base.repo.stargazers_count
        ) < 0 THEN 'impossible_number'
        WHEN greatest(
            repo_id, actor_id, pull_request.id, pull_request."user".id, pull_request.merged_by.id, issue.id,
            issue."user".id, comment.id, comment."user".id, review.id, review."user".id
        ) >= 1099511627776 THEN 'foreign_id'
        WHEN greatest(
            strlen(pull_request.title), strlen(pull_request.body), strlen(issue.title), strlen(issue.body),
            strlen(comment.body), strlen(comment.diff_hunk), strlen(comment.path), strlen(review.body)
        ) > 524288 THEN 'endless_text'
        WHEN greatest(
            len(pull_request.labels), len(issue.labels), len(pull_request.requested_reviewers),
            len(pull_request.requested_teams)
        ) > 1000 THEN 'endless_list'
    END AS refusal,
    coalesce(hash(repo_id), 0) % $slices AS slice
FROM events
WHERE $everything OR repo_id IS NULL OR list_contains($repos, lower(repo_name))
    OR list_contains($ids::BIGINT[], repo_id);

-- name: ids
-- Of the repositories that have, or had, one of these names on github.com.
SELECT DISTINCT lower(name) AS name, repo_id
FROM observed.repositories
WHERE list_contains($repos::VARCHAR[], lower(name)) AND forge_number(repo_id) = 0;

-- name: refused
SELECT filename, line, id, type, refusal FROM read_parquet($events) WHERE refusal IS NOT NULL ORDER BY ALL;

-- name: ids_named
-- Ids that have one of these names on the day itself.
SELECT DISTINCT lower(repo_name), repo_id
FROM read_parquet($events)
WHERE list_contains($repos::VARCHAR[], lower(repo_name)) AND refusal IS NULL;

-- name: pull_requests
WITH observations AS (
    SELECT
        repo_id,
        pull_request.number AS number,
        pull_request.id AS pr_id,
        event_at,
        id AS event_id,
        -- Since 2025-10-07 a payload has no state and no title: the action and the actor tell what they can.
        pull_request.title IS NULL AS is_trimmed,
        type = 'PullRequestEvent' AND action = 'opened' AS is_opening,
        CASE WHEN type = 'PullRequestEvent' THEN action END AS did,
        pull_request AS pr,
        actor_id,
        actor_login
    FROM read_parquet($events)
    WHERE refusal IS NULL AND pull_request.number > 0
        AND type IN ('PullRequestEvent', 'PullRequestReviewEvent', 'PullRequestReviewCommentEvent')
),
typed AS (
    SELECT
        repo_id,
        number,
        event_at AS observed_at,
        {'t': event_at, 'id': event_id} AS newest,
        pr_id,
        -- Whoever opens it is its author, and not deleted yet, where a payload does not say whose it is.
        coalesce(pr."user".id, CASE WHEN is_opening THEN actor_id END) AS author_id,
        CASE
            WHEN is_opening THEN login_or_ghost(coalesce(pr."user".login, actor_login))
            WHEN NOT is_trimmed THEN login_or_ghost(pr."user".login)
        END AS author_login,
        CASE
            WHEN is_opening THEN is_bot(coalesce(pr."user".login, actor_login), pr."user".type)
            WHEN NOT is_trimmed THEN is_bot(pr."user".login, pr."user".type)
        END AS author_is_bot,
        nonempty(pr.author_association) AS author_association,
        pr.title AS title,
        CASE WHEN NOT is_trimmed THEN coalesce(pr.body, '') END AS body,
        CASE
            WHEN pr.state IN ('open', 'closed') THEN pr.state
            WHEN did IN ('closed', 'merged') THEN 'closed'
            WHEN did IN ('opened', 'reopened') THEN 'open'
        END AS state,
        pr.draft AS is_draft,
        coalesce(instant(pr.created_at), CASE WHEN is_opening THEN event_at END) AS created_at,
        instant(pr.updated_at) AS updated_at,
        coalesce(
            instant(pr.closed_at), CASE WHEN is_trimmed AND did IN ('closed', 'merged') THEN event_at END
        ) AS closed_at,
        coalesce(
            instant(pr.merged_at), CASE WHEN is_trimmed AND did = 'merged' THEN event_at END
        ) AS merged_at,
        coalesce(pr.merged_by.id, CASE WHEN is_trimmed AND did = 'merged' THEN actor_id END) AS merged_by_id,
        CASE WHEN did IN ('closed', 'merged') THEN pr.title END AS closed_title,
        CASE WHEN did IN ('closed', 'merged') THEN actor_id END AS closed_by_id,
        CASE WHEN did IN ('closed', 'merged') THEN login_or_ghost(actor_login) END AS closed_by_login,
        CASE WHEN did IN ('closed', 'merged') THEN is_bot(actor_login, NULL) END AS closed_by_is_bot,
        pr.additions AS additions,
        pr.deletions AS deletions,
        pr.changed_files AS changed_files,
        pr.commits AS commits,
        nonempty(pr.head."ref") AS head_ref,
        CASE WHEN is_opening THEN pr.title END AS opened_title,
        CASE WHEN is_opening AND NOT is_trimmed THEN coalesce(pr.body, '') END AS opened_body,
        CASE WHEN is_opening THEN pr.draft END AS opened_is_draft,
        CASE WHEN is_opening THEN nonempty(pr.author_association) END AS opened_author_association,
        CASE WHEN is_opening THEN pr.additions END AS opened_additions,
        CASE WHEN is_opening THEN pr.deletions END AS opened_deletions,
        CASE WHEN is_opening THEN pr.changed_files END AS opened_changed_files,
        CASE WHEN is_opening THEN pr.commits END AS opened_commits,
        CASE WHEN opened_commits IS NOT NULL THEN 'opening' END AS opened_sizes_from,
        CASE WHEN is_opening THEN left(nonempty(pr.base.ref), 255) END AS opened_base_ref,
        CASE WHEN pr.head.repo.id IS NOT NULL THEN pr.head.repo.id <> pr.base.repo.id END AS is_from_fork,
        CASE
            WHEN is_opening THEN len(pr.requested_reviewers) + coalesce(len(pr.requested_teams), 0)
        END AS opened_reviewers
    FROM observations
)
SELECT
    repo_id, number, arg_max(COLUMNS(* EXCLUDE (repo_id, number, newest)), newest) AS '\0',
    'gharchive' AS source, $day::DATE AS partition_date
FROM typed
GROUP BY repo_id, number;

-- name: issues
-- Where the issue has a `pull_request` it is a pull request's conversation, and no issue.
WITH typed AS (
    SELECT
        repo_id,
        issue.number AS number,
        event_at AS observed_at,
        {'t': event_at, 'id': id} AS newest,
        type = 'IssuesEvent' AND action = 'opened' AS is_opening,
        type = 'IssuesEvent' AND action = 'closed' AS is_closing,
        issue.id AS issue_id,
        coalesce(issue."user".id, CASE WHEN is_opening THEN actor_id END) AS author_id,
        login_or_ghost(coalesce(issue."user".login, CASE WHEN is_opening THEN actor_login END)) AS author_login,
        is_bot(
            coalesce(issue."user".login, CASE WHEN is_opening THEN actor_login END), issue."user".type
        ) AS author_is_bot,
        nonempty(issue.author_association) AS author_association,
        issue.title AS title,
        coalesce(issue.body, '') AS body,
        CASE WHEN issue.state IN ('open', 'closed') THEN issue.state END AS state,
        CASE
            WHEN lower(issue.state_reason) IN ('completed', 'not_planned', 'duplicate', 'reopened')
                THEN lower(issue.state_reason)
        END AS state_reason,
        CASE WHEN is_closing THEN actor_id END AS closed_by_id,
        CASE WHEN is_closing THEN login_or_ghost(actor_login) END AS closed_by_login,
        CASE WHEN is_closing THEN is_bot(actor_login, NULL) END AS closed_by_is_bot,
        issue.comments AS comments,
        instant(issue.created_at) AS created_at,
        instant(issue.updated_at) AS updated_at,
        instant(issue.closed_at) AS closed_at
    FROM read_parquet($events)
    WHERE type IN ('IssuesEvent', 'IssueCommentEvent') AND issue.number > 0 AND refusal IS NULL
        AND issue.pull_request.url IS NULL AND issue.pull_request.html_url IS NULL
),
opened AS (
    SELECT
        * EXCLUDE (is_opening, is_closing),
        CASE WHEN is_opening THEN title END AS opened_title,
        CASE WHEN is_opening THEN body END AS opened_body,
        CASE WHEN is_opening THEN author_association END AS opened_author_association
    FROM typed
)
SELECT
    repo_id, number, arg_max(COLUMNS(* EXCLUDE (repo_id, number, newest)), newest) AS '\0',
    'gharchive' AS source, $day::DATE AS partition_date
FROM opened
GROUP BY repo_id, number;

-- name: reviews
WITH typed AS (
    SELECT
        review.id AS review_id,
        event_at AS observed_at,
        {'t': event_at, 'id': id} AS newest,
        repo_id,
        pull_request.number AS number,
        review."user".id AS author_id,
        login_or_ghost(review."user".login) AS author_login,
        is_bot(review."user".login, review."user".type) AS author_is_bot,
        nonempty(review.author_association) AS author_association,
        CASE
            WHEN upper(review.state) IN ('APPROVED', 'CHANGES_REQUESTED', 'COMMENTED', 'DISMISSED', 'PENDING')
                THEN upper(review.state)
        END AS state,
        CASE
            WHEN upper(review.state) IN ('APPROVED', 'CHANGES_REQUESTED', 'COMMENTED') THEN upper(review.state)
        END AS submitted_state,
        review.body AS body,
        coalesce(instant(review.submitted_at), event_at) AS submitted_at
    FROM read_parquet($events)
    WHERE type = 'PullRequestReviewEvent' AND refusal IS NULL
)
SELECT
    review_id, arg_max(COLUMNS(* EXCLUDE (review_id, newest)), newest) AS '\0',
    'gharchive' AS source, $day::DATE AS partition_date
FROM typed
GROUP BY review_id;

-- name: review_comments
WITH typed AS (
    SELECT
        comment.id AS comment_id,
        event_at AS observed_at,
        {'t': event_at, 'id': id} AS newest,
        repo_id,
        pull_request.number AS number,
        comment.pull_request_review_id AS review_id,
        comment.in_reply_to_id AS in_reply_to_id,
        comment."user".id AS author_id,
        login_or_ghost(comment."user".login) AS author_login,
        is_bot(comment."user".login, comment."user".type) AS author_is_bot,
        nonempty(comment.author_association) AS author_association,
        comment.path AS path,
        comment.diff_hunk AS diff_hunk,
        comment.body AS body,
        instant(comment.created_at) AS created_at,
        instant(comment.updated_at) AS updated_at
    FROM read_parquet($events)
    WHERE type = 'PullRequestReviewCommentEvent' AND refusal IS NULL
)
SELECT
    comment_id, arg_max(COLUMNS(* EXCLUDE (comment_id, newest)), newest) AS '\0',
    'gharchive' AS source, $day::DATE AS partition_date
FROM typed
GROUP BY comment_id;

-- name: issue_comments
WITH typed AS (
    SELECT
        comment.id AS comment_id,
        event_at AS observed_at,
        {'t': event_at, 'id': id} AS newest,
        repo_id,
        issue.number AS number,
        issue.pull_request.url IS NOT NULL OR issue.pull_request.html_url IS NOT NULL AS is_on_pull_request,
        comment."user".id AS author_id,
        login_or_ghost(comment."user".login) AS author_login,
        is_bot(comment."user".login, comment."user".type) AS author_is_bot,
        nonempty(comment.author_association) AS author_association,
        comment.body AS body,
        instant(comment.created_at) AS created_at,
        instant(comment.updated_at) AS updated_at
    FROM read_parquet($events)
    WHERE type = 'IssueCommentEvent' AND refusal IS NULL
)
SELECT
    comment_id, arg_max(COLUMNS(* EXCLUDE (comment_id, newest)), newest) AS '\0',
    'gharchive' AS source, $day::DATE AS partition_date
FROM typed
GROUP BY comment_id;

-- name: label_events
-- A label in the payload of an opening was there at the opening; later ones come as events of their own.
WITH items AS (
    SELECT
        repo_id,
        event_at,
        action,
        label,
        CASE type WHEN 'PullRequestEvent' THEN pull_request.number ELSE issue.number END AS number,
        CASE type WHEN 'PullRequestEvent' THEN pull_request.labels ELSE issue.labels END AS labels,
        instant(CASE type WHEN 'PullRequestEvent' THEN pull_request.created_at ELSE issue.created_at END) AS created_at
    FROM read_parquet($events)
    WHERE type IN ('PullRequestEvent', 'IssuesEvent') AND refusal IS NULL
        AND action IN ('opened', 'labeled', 'unlabeled')
),
events AS (
    SELECT
        repo_id, number, unnest(list_transform(labels, lambda x: x.name)) AS label, 'labeled' AS action,
        coalesce(created_at, event_at) AS created_at, event_at
    FROM items
    WHERE action = 'opened'
    UNION ALL
    SELECT repo_id, number, label, action, event_at, event_at
    FROM items
    WHERE action IN ('labeled', 'unlabeled')
)
SELECT
    repo_id, number, label, action, created_at, max(event_at) AS observed_at, 'gharchive' AS source,
    $day::DATE AS partition_date
FROM events
WHERE number > 0 AND nonempty(label) IS NOT NULL
GROUP BY repo_id, number, label, action, created_at;

-- name: review_requests
-- Who had been asked when the opening was told of; later requests are no events of the archive.
WITH asked AS (
    SELECT
        repo_id,
        pull_request.number AS number,
        coalesce(instant(pull_request.created_at), event_at) AS created_at,
        actor_id AS requested_by_id,
        login_or_ghost(actor_login) AS requested_by_login,
        event_at AS observed_at,
        unnest(list_concat(
            list_transform(
                pull_request.requested_reviewers,
                lambda x: {'login': login_or_ghost(x.login), 'id': x.id, 'is_team': false}
            ),
            list_transform(
                pull_request.requested_teams,
                lambda x: {
                    'login': split_part(repo_name, '/', 1) || '/' || login_or_ghost(x.slug), 'id': NULL, 'is_team': true
                }
            )
        )) AS reviewer
    FROM read_parquet($events)
    WHERE type = 'PullRequestEvent' AND action = 'opened' AND pull_request.number > 0 AND refusal IS NULL
)
SELECT
    repo_id, number, reviewer.login AS reviewer_login, 'requested' AS action, created_at,
    any_value(CASE WHEN reviewer.id BETWEEN 1 AND 1099511627775 THEN reviewer.id END) AS reviewer_id,
    bool_or(reviewer.is_team) AS is_team, max(requested_by_id) AS requested_by_id,
    max(requested_by_login) AS requested_by_login, max(observed_at) AS observed_at,
    'gharchive' AS source, $day::DATE AS partition_date
FROM asked
WHERE reviewer IS NOT NULL
GROUP BY repo_id, number, reviewer.login, created_at;

-- name: repositories
WITH typed AS (
    SELECT
        repo_id,
        event_at AS observed_at,
        {'t': event_at, 'id': id} AS newest,
        nonempty(repo_name) AS name,
        pull_request.base.repo.language AS language,
        pull_request.base.repo.stargazers_count AS stars,
        pull_request.base.repo.fork AS is_fork,
        instant(pull_request.base.repo.created_at) AS created_at
    FROM read_parquet($events)
    WHERE refusal IS NULL
)
SELECT
    repo_id, arg_max(COLUMNS(* EXCLUDE (repo_id, newest)), newest) AS '\0',
    'gharchive' AS source, $day::DATE AS partition_date
FROM typed
GROUP BY repo_id;

-- name: users
WITH seen AS (
    SELECT
        unnest([
            {'id': actor_id, 'login': actor_login, 'type': NULL},
            {'id': pull_request."user".id, 'login': pull_request."user".login, 'type': pull_request."user".type},
            {'id': issue."user".id, 'login': issue."user".login, 'type': issue."user".type},
            {'id': comment."user".id, 'login': comment."user".login, 'type': comment."user".type},
            {'id': review."user".id, 'login': review."user".login, 'type': review."user".type}
        ]) AS account,
        event_at AS observed_at,
        {'t': event_at, 'id': id} AS newest
    FROM read_parquet($events)
    WHERE refusal IS NULL
)
SELECT
    account.id AS user_id,
    arg_max(nonempty(account.login), newest) AS login,
    arg_max(nonempty(account.type), newest) AS type,
    is_bot(arg_max(nonempty(account.login), newest), arg_max(nonempty(account.type), newest)) AS is_bot,
    max(observed_at) AS observed_at,
    'gharchive' AS source,
    $day::DATE AS partition_date
FROM seen
WHERE account.id IS NOT NULL
GROUP BY account.id;
