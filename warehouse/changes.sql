-- What a change is, beside its size and text: functions that features/pull_requests.sql and features/issues.sql join.
-- Each answers for the instant of an opening, strictly before, from what was known then. Tables are parameters because
-- the functions exist before they do; `items` are rows with repo_id, number, author_id and created_at.

-- Who is asked within seconds of the opening was asked by the form, or as a code owner.
CREATE OR REPLACE TEMP MACRO is_with_opening(t, created_at) AS
    coalesce(t >= created_at AND t <= created_at + INTERVAL 10 SECOND, false);

-- Paths are strangers' text: whatever they hold, they are told apart by patterns and never read otherwise.
CREATE OR REPLACE TEMP MACRO is_test_path(path) AS regexp_matches(
    path, '(^|/)(tests?|specs?|__tests__|testing|testdata)/|(^|/)test_[^/]*$|[._-](test|spec|tests)\.[^/]*$', 'is'
);
CREATE OR REPLACE TEMP MACRO is_text_path(path) AS regexp_matches(
    path,
    '(^|/)docs?/|\.(md|mdx|rst|adoc|txt|tex)$'
    || '|(^|/)(readme|changelog|changes|licen[cs]e|authors|contributing)[^/]*$',
    'is'
);
CREATE OR REPLACE TEMP MACRO is_machine_made_path(path) AS regexp_matches(
    path,
    '(^|/)(vendor|third_party|node_modules|dist|generated|__generated__|__snapshots__)/'
    || '|(^|/)([^/]*[.-]lock(\.json|\.ya?ml)?|package-lock\.json|npm-shrinkwrap\.json|go\.sum|[^/]*\.lockb)$'
    || '|\.(min\.(js|css)|map|snap|pb\.go|g\.dart)$|_pb2(_grpc)?\.pyi?$|\.generated\.',
    'is'
);
CREATE OR REPLACE TEMP MACRO depth_of(path) AS occurrences(path, '/');
CREATE OR REPLACE TEMP MACRO extension_of(path) AS
    lower(regexp_extract(parse_filename(path), '\.([A-Za-z0-9_+-]{1,12})$', 1));

-- What the files of openings are, and what became of earlier changes of them; `items` have decided_at and passed, too.
-- One row a pull request whose files are known.
CREATE OR REPLACE TEMP MACRO file_facts(file_table, items) AS TABLE
WITH touched AS (
    SELECT
        items.repo_id, items.number, items.author_id, items.created_at AS t, files.path,
        rank() OVER (PARTITION BY items.repo_id, files.path ORDER BY items.created_at) - 1 AS prior_changes,
        rank() OVER (PARTITION BY items.repo_id, files.path, items.author_id ORDER BY items.created_at) > 1
            AS is_known_to_author
    FROM query_table(file_table) AS files
    INNER JOIN query_table(items) AS items ON files.repo_id = items.repo_id AND files.number = items.number
),
decisions AS (
    SELECT
        items.repo_id, files.path, items.decided_at AS t,
        sum(count(*)::DOUBLE) OVER before AS decided,
        sum(count_if(NOT items.passed)::DOUBLE) OVER before AS failed
    FROM query_table(file_table) AS files
    INNER JOIN query_table(items) AS items ON files.repo_id = items.repo_id AND files.number = items.number
    WHERE items.decided_at IS NOT NULL
    GROUP BY items.repo_id, files.path, items.decided_at
    WINDOW before AS (PARTITION BY items.repo_id, files.path ORDER BY items.decided_at ROWS UNBOUNDED PRECEDING)
)
SELECT
    touched.repo_id,
    touched.number,
    bool_or(is_test_path(touched.path)) AS touches_tests,
    bool_and(is_text_path(touched.path)) AS documentation_only,
    count_if(is_machine_made_path(touched.path)) / count(*) AS machine_made_share,
    sum(depth_of(touched.path)) / count(*) AS path_depth,
    count(DISTINCT extension_of(touched.path)) AS extensions,
    sum(touched.prior_changes) / count(*) AS files_prior_changes,
    sum(decisions.failed) / nullif(sum(decisions.decided), 0) AS files_failed_share,
    CASE WHEN any_value(touched.author_id) IS NOT NULL THEN count_if(touched.is_known_to_author) / count(*) END
        AS files_known_share
FROM touched
ASOF LEFT JOIN decisions
    ON touched.repo_id = decisions.repo_id AND touched.path = decisions.path AND touched.t > decisions.t
GROUP BY touched.repo_id, touched.number;

-- What those who were asked with the opening had said before, anywhere: (requests for changes + 1) / (verdicts + 3).
-- One row a pull request with somebody whose account is known.
CREATE OR REPLACE TEMP MACRO asked_facts(request_table, review_table, items) AS TABLE
WITH verdicts AS (
    SELECT
        author_id,
        submitted_at AS t,
        sum(count(*)::DOUBLE) OVER before AS verdicts,
        sum(count_if(submitted_state = 'CHANGES_REQUESTED')::DOUBLE) OVER before AS requests
    FROM query_table(review_table)
    WHERE submitted_state IN ('APPROVED', 'CHANGES_REQUESTED') AND author_id IS NOT NULL
    GROUP BY author_id, submitted_at
    WINDOW before AS (PARTITION BY author_id ORDER BY submitted_at ROWS UNBOUNDED PRECEDING)
),
asked AS (
    SELECT DISTINCT items.repo_id, items.number, requests.reviewer_id, items.created_at AS t
    FROM query_table(request_table) AS requests
    INNER JOIN query_table(items) AS items
        ON requests.repo_id = items.repo_id AND requests.number = items.number
    WHERE requests.action = 'requested' AND is_with_opening(requests.created_at, items.created_at)
        AND requests.reviewer_id IS NOT NULL
)
SELECT
    asked.repo_id,
    asked.number,
    (coalesce(sum(verdicts.requests), 0) + 1) / (coalesce(sum(verdicts.verdicts), 0) + 3) AS asked_changes_rate
FROM asked
ASOF LEFT JOIN verdicts ON asked.reviewer_id = verdicts.author_id AND asked.t > verdicts.t
GROUP BY asked.repo_id, asked.number;

-- Issues that a description says it closes, by GitHub's keywords; at most 100.
CREATE OR REPLACE TEMP MACRO closing_references(body) AS CASE
    WHEN body IS NULL THEN NULL
    WHEN NOT (
        contains(body, '#') OR contains(body, 'GH-') OR contains(body, 'gh-') OR contains(body, 'Gh-')
        OR contains(body, 'gH-')
    ) THEN []
    ELSE list_distinct(regexp_extract_all(
        body, '\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?[ \t]+(?:#|GH-)(\d{1,9})\b', 1, 'i'
    )[:100])
END;
-- The first opened of those issues that were there by then. `texts` have their closing_references.
CREATE OR REPLACE TEMP MACRO linked_issues(issue_table, texts, items) AS TABLE
SELECT
    links.repo_id,
    links.number,
    epoch(any_value(links.t) - min(issues.created_at)) / 3600 AS linked_issue_age_hours,
    bool_or(issues.author_id = links.author_id) AS linked_issue_is_own
FROM (
    SELECT
        items.repo_id, items.number, items.author_id, items.created_at AS t,
        unnest(texts.closing_references::BIGINT[]) AS issue
    FROM query_table(texts) AS texts
    INNER JOIN query_table(items) AS items ON texts.repo_id = items.repo_id AND texts.number = items.number
    WHERE array_length(texts.closing_references) > 0
) AS links
INNER JOIN query_table(issue_table) AS issues
    ON links.repo_id = issues.repo_id AND links.issue = issues.number AND issues.created_at < links.t
GROUP BY links.repo_id, links.number;

-- Of the checklist's items, those that are ticked; NULL without a checklist.
CREATE OR REPLACE TEMP MACRO ticked_share(text) AS
    (occurrences(text, '- [x] ') + occurrences(text, '- [X] ')) / nullif(checklist_items(text), 0);

-- Headings of a description, as they are compared; at most 50.
CREATE OR REPLACE TEMP MACRO headings_of(body) AS CASE
    WHEN body IS NULL THEN NULL
    WHEN NOT contains(body, '#') THEN []
    ELSE list_distinct(list_transform(
        regexp_extract_all(body, '(?m)^ {0,3}#{1,6}[ \t]+([^\r\n]{1,200})', 1)[:50], lambda x: lower(trim(x, ' #:*_'))
    ))
END;
-- How much of the repository's form a description keeps. A form is the headings that half of the descriptions had that
-- were opened in the six months before this one's, at least five of them: no file tells what it was then. `texts` have
-- their headings.
CREATE OR REPLACE TEMP MACRO forms_kept(texts, items) AS TABLE
WITH bodies AS (
    SELECT
        items.repo_id, items.number, date_trunc('month', items.created_at) AS opened_in,
        texts.headings
    FROM query_table(texts) AS texts
    INNER JOIN query_table(items) AS items ON texts.repo_id = items.repo_id AND texts.number = items.number
    WHERE texts.headings IS NOT NULL
),
counts AS (
    SELECT repo_id, opened_in, heading, count(*) AS bodies
    FROM (SELECT repo_id, opened_in, unnest(headings) AS heading FROM bodies)
    GROUP BY repo_id, opened_in, heading
),
asked AS (SELECT repo_id, opened_in, count(*) AS bodies FROM bodies GROUP BY repo_id, opened_in),
before AS (
    SELECT asked.repo_id, asked.opened_in, sum(earlier.bodies) AS bodies
    FROM asked
    INNER JOIN asked AS earlier ON asked.repo_id = earlier.repo_id
        AND earlier.opened_in < asked.opened_in AND earlier.opened_in >= asked.opened_in - INTERVAL 6 MONTH
    GROUP BY asked.repo_id, asked.opened_in
    HAVING sum(earlier.bodies) >= 5
),
headings AS (
    SELECT before.repo_id, before.opened_in, counts.heading
    FROM before
    INNER JOIN counts ON before.repo_id = counts.repo_id
        AND counts.opened_in < before.opened_in AND counts.opened_in >= before.opened_in - INTERVAL 6 MONTH
    GROUP BY before.repo_id, before.opened_in, counts.heading
    HAVING 2 * sum(counts.bodies) >= any_value(before.bodies)
),
forms AS (SELECT repo_id, opened_in, list(heading) AS form FROM headings GROUP BY repo_id, opened_in)
SELECT
    bodies.repo_id,
    bodies.number,
    array_length(list_intersect(bodies.headings, forms.form)) / array_length(forms.form) AS form_kept
FROM bodies
INNER JOIN forms ON bodies.repo_id = forms.repo_id AND bodies.opened_in = forms.opened_in;
