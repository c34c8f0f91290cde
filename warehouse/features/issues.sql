-- name: table
CREATE TABLE features.issues (
    repo_id BIGINT, -- of: identity, forge id
    number BIGINT, -- of: identity
    opened_at TIMESTAMP NOT NULL, -- of: time
    author_id BIGINT, -- of: identity, forge id
    source VARCHAR NOT NULL, -- of: identity
    author_prior_issues INTEGER, -- of: author
    author_prior_issues_in_repo INTEGER, -- of: author here
    author_prior_prs_in_repo INTEGER, -- of: author here
    author_prior_merged_in_repo INTEGER, -- of: author here
    author_tenure_in_repo_days DOUBLE, -- of: author here
    author_reviews_given_in_repo INTEGER, -- of: author here
    author_merges_given_in_repo INTEGER, -- of: author here
    author_seniority VARCHAR NOT NULL, -- of: report
    author_prior_closed INTEGER, -- of: author
    author_average_hours DOUBLE, -- of: author
    author_days_since_last_issue DOUBLE, -- of: author
    author_tenure_days DOUBLE, -- of: author
    author_is_newcomer BOOLEAN, -- of: author here
    author_association VARCHAR, -- of: item, else as last shown
    repo_closed_recently INTEGER NOT NULL, -- of: repository
    repo_closed_in_7_days_rate DOUBLE NOT NULL, -- of: repository
    repo_open_issues INTEGER NOT NULL, -- of: repository
    repo_median_hours DOUBLE, -- of: repository
    repo_open_prs INTEGER NOT NULL, -- of: repository
    title_length BIGINT, -- of: item
    body_length BIGINT, -- of: item
    link_count BIGINT, -- of: item
    checklist_items BIGINT, -- of: item
    code_blocks BIGINT, -- of: item
    label_count BIGINT NOT NULL, -- of: item
    is_bug BOOLEAN, -- of: item
    is_feature BOOLEAN, -- of: item
    is_documentation BOOLEAN, -- of: item
    is_refactor BOOLEAN, -- of: item
    hour INTEGER NOT NULL, -- of: item, 0 to 23
    weekday INTEGER NOT NULL, -- of: item, 0 to 6
    is_weekend BOOLEAN NOT NULL, -- of: item = is_weekend(weekday)
    checklist_ticked_share DOUBLE, -- of: item, 0 to 1
    form_kept DOUBLE, -- of: item, 0 to 1
    closed_at TIMESTAMP, -- of: label
    ending VARCHAR, -- of: label
    resolution_hours DOUBLE, -- of: label
    resolution_hours_by VARCHAR, -- of: label
    censored_hours DOUBLE, -- of: label
    closed_in_7_days BOOLEAN, -- of: label
    closed_in_7_days_by VARCHAR, -- of: label
    exclusions VARCHAR[] NOT NULL, -- of: label
    exclusion VARCHAR, -- of: label
    observed_until TIMESTAMP, -- of: label
    PRIMARY KEY (repo_id, number)
);
COMMENT ON TABLE features.issues IS
    'One row an issue: what was known at the instant it was opened, and when and how it ended';
COMMENT ON COLUMN features.issues.repo_id IS 'Repository';
COMMENT ON COLUMN features.issues.number IS 'Number within the repository';
COMMENT ON COLUMN features.issues.opened_at IS 'The instant that every feature is computed for (UTC)';
COMMENT ON COLUMN features.issues.author_id IS
    'Account of the author; NULL for a deleted account, whose history is unknown';
COMMENT ON COLUMN features.issues.source IS 'Source of the newest observation; demo is synthetic';
COMMENT ON COLUMN features.issues.author_prior_issues IS
    'Issues that the author had opened before, anywhere in the warehouse';
COMMENT ON COLUMN features.issues.author_prior_issues_in_repo IS 'The same in this repository';
COMMENT ON COLUMN features.issues.author_prior_prs_in_repo IS
    'Pull requests that the author had opened before in this repository';
COMMENT ON COLUMN features.issues.author_prior_merged_in_repo IS
    'Pull requests of the author that had landed before in this repository';
COMMENT ON COLUMN features.issues.author_tenure_in_repo_days IS
    'Days since the author''s first pull request or issue in this repository; 0 for the first';
COMMENT ON COLUMN features.issues.author_reviews_given_in_repo IS
    'Verdicts that the author had given on other people''s pull requests in this repository: a right shown by its use';
COMMENT ON COLUMN features.issues.author_merges_given_in_repo IS
    'Other people''s pull requests that the author had merged in this repository, as far as the source tells who did';
COMMENT ON COLUMN features.issues.author_seniority IS
    'newcomer, junior, mid or senior in this repository at the opening, or unknown; for reports, not a feature '
    'of any model';
COMMENT ON COLUMN features.issues.author_prior_closed IS 'Issues of the author that had been closed before';
COMMENT ON COLUMN features.issues.author_average_hours IS 'Mean hours to the closing of those';
COMMENT ON COLUMN features.issues.author_days_since_last_issue IS
    'Days since the author last opened an issue; NULL for the first';
COMMENT ON COLUMN features.issues.author_tenure_days IS 'Days since the author first opened an issue; 0 for the first';
COMMENT ON COLUMN features.issues.author_is_newcomer IS
    'No issue or pull request of the author had been opened in this repository';
COMMENT ON COLUMN features.issues.author_association IS 'The author''s standing in the repository at the opening';
COMMENT ON COLUMN features.issues.repo_closed_recently IS 'Issues closed in the last 90 days';
COMMENT ON COLUMN features.issues.repo_closed_in_7_days_rate IS
    'Share of issues that were closed within 168 hours, of those of which that became known in the last 90 days: '
    '(closed in time + 1) / (known + 2)';
COMMENT ON COLUMN features.issues.repo_open_issues IS 'Open issues in the repository (its load)';
COMMENT ON COLUMN features.issues.repo_median_hours IS 'Median hours to the closing, over the last 100 closed issues';
COMMENT ON COLUMN features.issues.repo_open_prs IS 'Open pull requests in the repository';
COMMENT ON COLUMN features.issues.title_length IS 'Characters of the title at the opening';
COMMENT ON COLUMN features.issues.body_length IS 'Characters of the description at the opening';
COMMENT ON COLUMN features.issues.link_count IS 'Links in the description at the opening';
COMMENT ON COLUMN features.issues.checklist_items IS 'Checklist items in the description at the opening';
COMMENT ON COLUMN features.issues.code_blocks IS 'Fenced code blocks in the description at the opening';
COMMENT ON COLUMN features.issues.label_count IS 'Labels on the issue at the opening';
COMMENT ON COLUMN features.issues.is_bug IS
    'By a label put on up to the opening, or the title''s prefix (fix: or bug:)';
COMMENT ON COLUMN features.issues.is_feature IS 'By label, or prefix (feat:)';
COMMENT ON COLUMN features.issues.is_documentation IS 'By label, or prefix (docs:)';
COMMENT ON COLUMN features.issues.is_refactor IS 'By label, or prefix (refactor:)';
COMMENT ON COLUMN features.issues.hour IS 'Hour of the opening, 0 to 23 (UTC)';
COMMENT ON COLUMN features.issues.weekday IS 'Day of the opening, 0 Monday to 6 Sunday (UTC)';
COMMENT ON COLUMN features.issues.is_weekend IS 'Saturday or Sunday (UTC)';
COMMENT ON COLUMN features.issues.checklist_ticked_share IS
    'Share of the checklist that was ticked at the opening; NULL without a checklist';
COMMENT ON COLUMN features.issues.form_kept IS
    'Share kept of the headings that half of the repository''s issues of the six months before had: those of its form';
COMMENT ON COLUMN features.issues.closed_at IS 'When it was closed (UTC); NULL while open';
COMMENT ON COLUMN features.issues.ending IS
    'How it ended: completed (by a person, a commit or a pull request), not_planned, duplicate, or stale (closed by a '
    'program or as stale); NULL while open';
COMMENT ON COLUMN features.issues.resolution_hours IS
    'Target: hours from the opening to the closing as completed, or what people say (ml.feedback) while it is open or '
    'if two keys say so; NULL while open (right-censored), and for what ended otherwise, which is never resolved';
COMMENT ON COLUMN features.issues.resolution_hours_by IS
    'Whose word that is: forge, feedback, or contested: the forge''s, against feedback that no second key confirmed';
COMMENT ON COLUMN features.issues.censored_hours IS 'Hours that an open issue has been watched; NULL for closed ones';
COMMENT ON COLUMN features.issues.closed_in_7_days IS
    'Target: closed within 168 hours, or what people say where that is not known yet or if two keys say so; NULL for '
    'issues watched for less than that and still open';
COMMENT ON COLUMN features.issues.closed_in_7_days_by IS 'Whose word that is: forge, feedback or contested';
COMMENT ON COLUMN features.issues.exclusions IS
    'All reasons that may keep it out of a model, whose spec says which do: opening_not_observed, outside_coverage, '
    'bot';
COMMENT ON COLUMN features.issues.exclusion IS
    'Why models do not train on it: opening_not_observed, outside_coverage, bot; NULL if they do';
COMMENT ON COLUMN features.issues.observed_until IS 'End of the repository''s covered time';

-- name: rows
-- "Before" is strict throughout: what happened at the very instant of an opening is not known to it.
WITH issues AS (
    SELECT
        repo_id, number, author_id, source, created_at, closed_at,
        is_machine('ops.machine_accounts', author_is_bot, author_id) AS author_is_bot,
        opened_author_association, opened_title IS NOT NULL OR is_snapshot(source) AS is_opening_observed
    FROM raw.issues
    WHERE created_at IS NOT NULL
),
openings AS (
    SELECT
        repo_id,
        number,
        rank() OVER (PARTITION BY author_id ORDER BY created_at) - 1 AS author_prior_issues,
        rank() OVER (PARTITION BY author_id, repo_id ORDER BY created_at) - 1 AS author_prior_issues_in_repo,
        rank() OVER (PARTITION BY repo_id ORDER BY created_at) - 1 AS repo_prior_issues,
        min(created_at) OVER (PARTITION BY author_id) AS author_first_opened_at,
        max(created_at) OVER (
            PARTITION BY author_id ORDER BY created_at
            RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
        ) AS author_last_opened_at
    FROM issues
),
-- Seconds, not hours: sums of whole numbers do not depend on the order in which they are added.
author_events AS (
    SELECT author_id, number, repo_id, created_at AS t, 0 AS closed, 0 AS seconds
    FROM issues
    WHERE author_id IS NOT NULL
    UNION ALL
    SELECT author_id, NULL, repo_id, closed_at, 1, date_diff('second', created_at, closed_at)
    FROM issues
    WHERE author_id IS NOT NULL AND closed_at IS NOT NULL
),
author_running AS (
    SELECT
        repo_id,
        number,
        coalesce(sum(closed::DOUBLE) OVER before, 0) AS prior_closed,
        coalesce(sum(seconds::DOUBLE) OVER before, 0) AS prior_seconds
    FROM author_events
    WINDOW before AS (
        PARTITION BY author_id ORDER BY t
        RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
    )
),
author_history AS (SELECT * FROM author_running WHERE number IS NOT NULL),
contributions AS (
    SELECT
        author_id, repo_id, number, created_at AS t, created_at AS arrived_at, 0 AS opened, 0 AS merged, 0 AS reviews,
        0 AS merges
    FROM issues
    WHERE author_id IS NOT NULL
    UNION ALL
    SELECT author_id, repo_id, NULL, created_at, created_at, 1, 0, 0, 0
    FROM raw.pull_requests
    WHERE author_id IS NOT NULL AND created_at IS NOT NULL
    UNION ALL
    SELECT author_id, repo_id, NULL, landed_at, NULL, 0, 1, 0, 0
    FROM landings('raw.pull_requests', 'raw.issue_comments', 'raw.label_events')
    WHERE author_id IS NOT NULL
    UNION ALL
    SELECT author_id, repo_id, NULL, t, NULL, 0, 0, reviews, merges
    FROM rights_used('raw.reviews', 'raw.pull_requests')
),
author_prs AS (
    SELECT
        repo_id,
        number,
        epoch(t - min(arrived_at) OVER (PARTITION BY author_id, repo_id)) / 86400 AS tenure_in_repo_days,
        coalesce(sum(opened::DOUBLE) OVER before, 0) AS prior_prs_in_repo,
        coalesce(sum(merged::DOUBLE) OVER before, 0) AS prior_merged_in_repo,
        sum(reviews) OVER before AS reviews_given_in_repo,
        sum(merges) OVER before AS merges_given_in_repo
    FROM contributions
    WINDOW before AS (
        PARTITION BY author_id, repo_id ORDER BY t
        RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
    )
    QUALIFY number IS NOT NULL
),
repo_events AS (
    SELECT repo_id, number, created_at AS t, 0 AS closed, 0 AS open_prs, 0 AS settled, 0 AS in_time FROM issues
    UNION ALL
    SELECT repo_id, NULL, closed_at, 1, 0, 0, 0 FROM issues WHERE closed_at IS NOT NULL
    UNION ALL
    -- That it is closed in time is known when it is closed, that it is not when the seven days are over.
    SELECT
        repo_id, NULL, least(closed_at, created_at + INTERVAL 7 DAY), 0, 0, 1,
        coalesce(closed_at <= created_at + INTERVAL 7 DAY, false)::INTEGER
    FROM issues
    UNION ALL
    SELECT repo_id, NULL, created_at, 0, 1, 0, 0 FROM raw.pull_requests WHERE created_at IS NOT NULL
    UNION ALL
    SELECT repo_id, NULL, closed_at, 0, -1, 0, 0
    FROM raw.pull_requests
    WHERE created_at IS NOT NULL AND closed_at IS NOT NULL
),
repo_running AS (
    SELECT
        repo_id,
        number,
        coalesce(sum(closed::DOUBLE) OVER before, 0) AS closed,
        coalesce(sum(open_prs::DOUBLE) OVER before, 0) AS open_prs,
        coalesce(sum(closed::DOUBLE) OVER recently, 0) AS closed_recently,
        (coalesce(sum(in_time::DOUBLE) OVER recently, 0) + 1)
        / (coalesce(sum(settled::DOUBLE) OVER recently, 0) + 2) AS closed_in_time_rate
    FROM repo_events
    WINDOW
        before AS (
            PARTITION BY repo_id ORDER BY t
            RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
        ),
        recently AS (
            PARTITION BY repo_id ORDER BY t
            RANGE BETWEEN INTERVAL 90 DAY PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
        )
),
repo_history AS (SELECT * FROM repo_running WHERE number IS NOT NULL),
closing_speed AS (
    SELECT
        repo_id,
        closed_at,
        median(epoch(closed_at - created_at) / 3600) OVER (
            PARTITION BY repo_id ORDER BY closed_at, number ROWS 99 PRECEDING
        ) AS median_hours
    FROM issues
    WHERE closed_at IS NOT NULL
    QUALIFY number = last_value(number) OVER (
        PARTITION BY repo_id, closed_at ORDER BY number ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
),
speed_at_opening AS (
    SELECT openings.repo_id, openings.number, closing_speed.median_hours
    FROM (SELECT repo_id, number, created_at FROM issues) AS openings
    ASOF INNER JOIN closing_speed
        ON openings.repo_id = closing_speed.repo_id AND openings.created_at > closing_speed.closed_at
),
labels AS (
    SELECT repo_id, number, list(DISTINCT label_kind(label)) AS kinds, count(*) AS label_count
    FROM labels_at_opening('raw.label_events', 'raw.issues')
    GROUP BY repo_id, number
),
texts AS (
    SELECT
        repo_id,
        number,
        commit_prefix(opened_title) AS prefix,
        length(opened_title) AS title_length,
        length(opened_body) AS body_length,
        CASE WHEN opened_body IS NOT NULL THEN occurrences(opened_body, '://') END AS link_count,
        CASE WHEN opened_body IS NOT NULL THEN checklist_items(opened_body) END AS checklist_items,
        CASE WHEN opened_body IS NOT NULL THEN occurrences(opened_body, '```') // 2 END AS code_blocks,
        CASE WHEN opened_body IS NOT NULL THEN ticked_share(opened_body) END AS checklist_ticked_share,
        headings_of(opened_body) AS headings
    FROM raw.issues
),
forms AS (FROM forms_kept('texts', 'issues')),
kinds AS (
    SELECT
        issues.repo_id,
        issues.number,
        texts.prefix,
        coalesce(labels.kinds, []) AS kinds,
        coalesce(labels.label_count, 0) AS label_count,
        labels.kinds IS NULL AND texts.title_length IS NULL AS kind_unknown
    FROM issues
    INNER JOIN texts ON issues.repo_id = texts.repo_id AND issues.number = texts.number
    LEFT JOIN labels ON issues.repo_id = labels.repo_id AND issues.number = labels.number
),
ended AS (FROM endings('raw.issues', 'raw.label_events', 'ops.machine_accounts', 'ml.closings')),
covered AS (
    SELECT repo_id, covered_from, covered_until
    FROM ops.coverage
    WHERE is_covered
    QUALIFY row_number() OVER (PARTITION BY repo_id ORDER BY covered_until DESC, covered_from) = 1
),
-- What the forge says.
githubs AS (
    SELECT
        issues.repo_id,
        issues.number,
        CASE WHEN ended.ending = 'completed' THEN epoch(issues.closed_at - issues.created_at) / 3600 END AS hours,
        CASE
            WHEN issues.closed_at <= issues.created_at + INTERVAL 7 DAY THEN true
            WHEN issues.closed_at IS NOT NULL THEN false
            WHEN covered.covered_until >= issues.created_at + INTERVAL 7 DAY THEN false
        END AS closing
    FROM issues
    LEFT JOIN ended ON issues.repo_id = ended.repo_id AND issues.number = ended.number
    LEFT JOIN covered ON issues.repo_id = covered.repo_id
),
-- People who know better correct the labels, and nothing else.
corrected_hours AS (
    SELECT repo_id, number, label::DOUBLE AS hours, confirmed
    FROM newest_feedback('ml.feedback', 'resolution_time', 'outcome')
),
corrected_closing AS (
    SELECT repo_id, number, label = 'closed' AS closed, confirmed
    FROM newest_feedback('ml.feedback', 'close_in_7_days', 'outcome')
)
SELECT
    issues.repo_id,
    issues.number,
    issues.created_at AS opened_at,
    issues.author_id,
    issues.source,
    CASE WHEN issues.author_id IS NOT NULL THEN openings.author_prior_issues END::INTEGER AS author_prior_issues,
    CASE WHEN issues.author_id IS NOT NULL THEN openings.author_prior_issues_in_repo END::INTEGER
        AS author_prior_issues_in_repo,
    author_prs.prior_prs_in_repo::INTEGER AS author_prior_prs_in_repo,
    author_prs.prior_merged_in_repo::INTEGER AS author_prior_merged_in_repo,
    author_prs.tenure_in_repo_days AS author_tenure_in_repo_days,
    CASE WHEN issues.author_id IS NOT NULL THEN coalesce(author_prs.reviews_given_in_repo, 0) END::INTEGER
        AS author_reviews_given_in_repo,
    CASE WHEN issues.author_id IS NOT NULL THEN coalesce(author_prs.merges_given_in_repo, 0) END::INTEGER
        AS author_merges_given_in_repo,
    seniority(
        author_prs.prior_merged_in_repo, author_prs.tenure_in_repo_days, issues.opened_author_association,
        author_reviews_given_in_repo, author_merges_given_in_repo,
        $seniority_merged::INTEGER[], $seniority_days::INTEGER[]
    ) AS author_seniority,
    author.prior_closed::INTEGER AS author_prior_closed,
    author.prior_seconds / 3600 / nullif(author.prior_closed, 0) AS author_average_hours,
    CASE
        WHEN issues.author_id IS NOT NULL THEN epoch(issues.created_at - openings.author_last_opened_at) / 86400
    END AS author_days_since_last_issue,
    CASE
        WHEN issues.author_id IS NOT NULL THEN epoch(issues.created_at - openings.author_first_opened_at) / 86400
    END AS author_tenure_days,
    author_prs.prior_prs_in_repo = 0 AND openings.author_prior_issues_in_repo = 0 AS author_is_newcomer,
    issues.opened_author_association AS author_association,
    repo.closed_recently::INTEGER AS repo_closed_recently,
    repo.closed_in_time_rate AS repo_closed_in_7_days_rate,
    (openings.repo_prior_issues - repo.closed)::INTEGER AS repo_open_issues,
    speed.median_hours AS repo_median_hours,
    repo.open_prs::INTEGER AS repo_open_prs,
    texts.title_length,
    texts.body_length,
    texts.link_count,
    texts.checklist_items,
    texts.code_blocks,
    kinds.label_count,
    CASE
        WHEN NOT kinds.kind_unknown
            THEN list_contains(kinds.kinds, 'bug') OR coalesce(kinds.prefix IN ('fix', 'bug'), false)
    END AS is_bug,
    CASE
        WHEN NOT kinds.kind_unknown
            THEN list_contains(kinds.kinds, 'feature') OR coalesce(kinds.prefix IN ('feat', 'feature'), false)
    END AS is_feature,
    CASE
        WHEN NOT kinds.kind_unknown
            THEN list_contains(kinds.kinds, 'docs') OR coalesce(kinds.prefix IN ('docs', 'doc'), false)
    END AS is_documentation,
    CASE
        WHEN NOT kinds.kind_unknown
            THEN list_contains(kinds.kinds, 'refactor') OR coalesce(kinds.prefix IN ('refactor', 'cleanup'), false)
    END AS is_refactor,
    hour(issues.created_at)::INTEGER AS hour,
    (isodow(issues.created_at) - 1)::INTEGER AS weekday,
    is_weekend(weekday) AS is_weekend,
    texts.checklist_ticked_share,
    forms.form_kept,
    issues.closed_at,
    ended.ending,
    label_by(githubs.hours, corrected_hours.hours, corrected_hours.confirmed, issues.closed_at IS NULL)
        AS resolution_hours_by,
    CASE WHEN resolution_hours_by = 'feedback' THEN corrected_hours.hours ELSE githubs.hours END AS resolution_hours,
    CASE
        WHEN issues.closed_at IS NULL AND corrected_hours.hours IS NULL
            THEN epoch(covered.covered_until - issues.created_at) / 3600
    END AS censored_hours,
    label_by(githubs.closing, corrected_closing.closed, corrected_closing.confirmed, githubs.closing IS NULL)
        AS closed_in_7_days_by,
    CASE WHEN closed_in_7_days_by = 'feedback' THEN corrected_closing.closed ELSE githubs.closing END
        AS closed_in_7_days,
    list_filter(
        [
            CASE WHEN NOT issues.is_opening_observed THEN 'opening_not_observed' END,
            CASE
                WHEN
                    NOT coalesce(
                        issues.created_at >= covered.covered_from AND issues.created_at < covered.covered_until, false
                    )
                    THEN 'outside_coverage'
            END,
            CASE WHEN issues.author_is_bot THEN 'bot' END
        ],
        lambda reason: reason IS NOT NULL
    ) AS exclusions,
    exclusions[1] AS exclusion,
    covered.covered_until AS observed_until
FROM issues
INNER JOIN openings ON issues.repo_id = openings.repo_id AND issues.number = openings.number
INNER JOIN texts ON issues.repo_id = texts.repo_id AND issues.number = texts.number
INNER JOIN kinds ON issues.repo_id = kinds.repo_id AND issues.number = kinds.number
INNER JOIN repo_history AS repo ON issues.repo_id = repo.repo_id AND issues.number = repo.number
LEFT JOIN author_history AS author ON issues.repo_id = author.repo_id AND issues.number = author.number
LEFT JOIN author_prs ON issues.repo_id = author_prs.repo_id AND issues.number = author_prs.number
LEFT JOIN ended ON issues.repo_id = ended.repo_id AND issues.number = ended.number
LEFT JOIN forms ON issues.repo_id = forms.repo_id AND issues.number = forms.number
INNER JOIN githubs ON issues.repo_id = githubs.repo_id AND issues.number = githubs.number
LEFT JOIN covered ON issues.repo_id = covered.repo_id
LEFT JOIN corrected_hours ON issues.repo_id = corrected_hours.repo_id AND issues.number = corrected_hours.number
LEFT JOIN corrected_closing ON issues.repo_id = corrected_closing.repo_id AND issues.number = corrected_closing.number
LEFT JOIN speed_at_opening AS speed ON issues.repo_id = speed.repo_id AND issues.number = speed.number;

-- name: texts
SELECT repo_id, number, opened_title, opened_body
FROM raw.issues
WHERE opened_title IS NOT NULL AND is_synthetic(source, repo_id) = $is_synthetic;

-- name: groups
SELECT groups.*, epoch(items.closed_at - items.opened_at) / 3600 AS completion_hours
FROM groups_of('features.issues', 'raw.issues') AS groups
INNER JOIN features.issues AS items ON groups.repo_id = items.repo_id AND groups.number = items.number;

-- name: exclusions
SELECT
    coalesce(exclusion, 'none: models may train on it') AS exclusion,
    count(*) AS issues,
    avg(closed_in_7_days::INTEGER) AS closed_in_7_days
FROM features.issues
GROUP BY exclusion
ORDER BY issues DESC;

-- name: open_by_repository
FROM open_by_repository('features.issues');

-- name: checks
SELECT
    count(*) AS rows,
    (SELECT count(*) FROM raw.issues WHERE created_at IS NOT NULL) AS raw_rows,
    count(*) FILTER (
        resolution_hours < 0 OR author_days_since_last_issue <= 0 OR repo_open_issues < 0 OR repo_open_prs < 0
    ) AS impossible
FROM features.issues;
