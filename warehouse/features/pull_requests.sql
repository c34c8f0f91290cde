-- name: table
CREATE TABLE features.pull_requests (
    repo_id BIGINT, -- of: identity, forge id
    number BIGINT, -- of: identity
    opened_at TIMESTAMP NOT NULL, -- of: time
    author_id BIGINT, -- of: identity, forge id
    source VARCHAR NOT NULL, -- of: identity
    author_prior_prs INTEGER, -- of: author
    author_prior_prs_in_repo INTEGER, -- of: author here
    author_prior_merged INTEGER, -- of: author
    author_prior_merged_in_repo INTEGER, -- of: author here
    author_prior_decided INTEGER, -- of: author
    author_prior_passed INTEGER, -- of: author
    author_pass_rate DOUBLE, -- of: author here = shrunk(author_prior_passed, author_prior_decided, repo_pass_rate)
    author_average_cycles DOUBLE, -- of: author
    author_days_since_last_pr DOUBLE, -- of: author
    author_tenure_days DOUBLE, -- of: author
    author_open_prs INTEGER, -- of: author
    author_opened_in_hour INTEGER, -- of: author
    author_opened_in_day INTEGER, -- of: author
    author_is_newcomer BOOLEAN, -- of: author here
    author_tenure_in_repo_days DOUBLE, -- of: author here
    author_is_first_contribution BOOLEAN, -- of: author here
    author_reviews_given_in_repo INTEGER, -- of: author here
    author_merges_given_in_repo INTEGER, -- of: author here
    author_seniority VARCHAR NOT NULL, -- of: report
    author_association VARCHAR, -- of: item, else as last shown
    origin VARCHAR, -- of: item
    origin_agent VARCHAR, -- of: report
    origin_evidence VARCHAR, -- of: report
    origin_sender VARCHAR, -- of: report
    origin_rules VARCHAR NOT NULL, -- of: report
    repo_pass_rate DOUBLE NOT NULL, -- of: repository
    repo_decided_recently INTEGER NOT NULL, -- of: repository
    repo_open_prs INTEGER NOT NULL, -- of: repository
    repo_hours_to_first_review DOUBLE, -- of: repository
    repo_verdict_share DOUBLE NOT NULL, -- of: repository
    repo_changes_rate DOUBLE NOT NULL, -- of: repository
    log_lines DOUBLE, -- of: item = log_size(lines_changed)
    lines_changed BIGINT, -- of: item
    files_changed BIGINT, -- of: item
    commits BIGINT, -- of: item
    additions_share DOUBLE, -- of: item, 0 to 1
    sizes_from VARCHAR, -- of: report
    title_length BIGINT, -- of: item
    body_length BIGINT, -- of: item
    link_count BIGINT, -- of: item
    checklist_items BIGINT, -- of: item
    code_blocks BIGINT, -- of: item
    is_bug_fix BOOLEAN, -- of: item
    is_feature BOOLEAN, -- of: item
    is_documentation BOOLEAN, -- of: item
    is_refactor BOOLEAN, -- of: item
    hour INTEGER NOT NULL, -- of: item, 0 to 23
    weekday INTEGER NOT NULL, -- of: item, 0 to 6
    is_weekend BOOLEAN NOT NULL, -- of: item = is_weekend(weekday)
    is_draft BOOLEAN, -- of: item
    touches_tests BOOLEAN, -- of: item
    documentation_only BOOLEAN, -- of: item
    machine_made_share DOUBLE, -- of: item, 0 to 1
    path_depth DOUBLE, -- of: item
    extensions BIGINT, -- of: item
    files_prior_changes DOUBLE, -- of: item
    files_failed_share DOUBLE, -- of: item, 0 to 1
    files_known_share DOUBLE, -- of: item, 0 to 1
    reviewers_asked BIGINT, -- of: item
    asked_changes_rate DOUBLE, -- of: item, 0 to 1
    closes_issues BIGINT, -- of: item
    linked_issue_age_hours DOUBLE, -- of: item
    linked_issue_is_own BOOLEAN, -- of: item
    checklist_ticked_share DOUBLE, -- of: item, 0 to 1
    form_kept DOUBLE, -- of: item, 0 to 1
    base_share DOUBLE, -- of: item, 0 to 1
    is_from_fork BOOLEAN, -- of: item
    passed BOOLEAN, -- of: label
    passed_by VARCHAR, -- of: label
    decided_by_verdict BOOLEAN, -- of: label
    decided_at TIMESTAMP, -- of: label
    review_cycles INTEGER NOT NULL, -- of: label
    closed_at TIMESTAMP, -- of: label
    merged_at TIMESTAMP, -- of: label
    landed_at TIMESTAMP, -- of: label
    landed_evidence VARCHAR, -- of: label
    author_hours_to_first_response DOUBLE, -- of: author here
    repo_hours_to_first_response DOUBLE, -- of: repository
    first_response_at TIMESTAMP, -- of: label
    first_response_by VARCHAR, -- of: label
    first_response_hours DOUBLE, -- of: label
    closed_unanswered_at TIMESTAMP, -- of: label
    exclusions VARCHAR[] NOT NULL, -- of: label
    exclusion VARCHAR, -- of: label
    observed_until TIMESTAMP, -- of: label
    PRIMARY KEY (repo_id, number)
);
COMMENT ON TABLE features.pull_requests IS
    'One row a pull request: what was known at the instant it was opened, and how its first review ended';
COMMENT ON COLUMN features.pull_requests.repo_id IS 'Repository';
COMMENT ON COLUMN features.pull_requests.number IS 'Number within the repository';
COMMENT ON COLUMN features.pull_requests.opened_at IS 'The instant that every feature is computed for (UTC)';
COMMENT ON COLUMN features.pull_requests.author_id IS
    'Account of the author; NULL for a deleted account, whose history is unknown. Its history is that of the same '
    'hand only: a person''s own work, work with an assistant, agents and automations under one account know nothing of '
    'each other';
COMMENT ON COLUMN features.pull_requests.source IS 'Source of the newest observation; demo is synthetic';
COMMENT ON COLUMN features.pull_requests.author_prior_prs IS
    'Pull requests that the author had opened before by the same hand, anywhere in the warehouse';
COMMENT ON COLUMN features.pull_requests.author_prior_prs_in_repo IS 'The same in this repository';
COMMENT ON COLUMN features.pull_requests.author_prior_merged IS
    'Pull requests of the author that had landed before: been merged, or closed by what landed them';
COMMENT ON COLUMN features.pull_requests.author_prior_merged_in_repo IS 'The same in this repository';
COMMENT ON COLUMN features.pull_requests.author_prior_decided IS
    'Pull requests of the author whose first review had been decided before';
COMMENT ON COLUMN features.pull_requests.author_prior_passed IS 'How many of those had passed';
COMMENT ON COLUMN features.pull_requests.author_pass_rate IS
    'Share of those that passed, shrunk towards repo_pass_rate with a weight of 4';
COMMENT ON COLUMN features.pull_requests.author_average_cycles IS
    'Requests for changes that the author had received, for each pull request opened before';
COMMENT ON COLUMN features.pull_requests.author_days_since_last_pr IS
    'Days since the author last opened a pull request; NULL for the first';
COMMENT ON COLUMN features.pull_requests.author_tenure_days IS
    'Days since the author first opened a pull request; 0 for the first';
COMMENT ON COLUMN features.pull_requests.author_open_prs IS
    'Pull requests of the author that are open at the opening, anywhere in the warehouse';
COMMENT ON COLUMN features.pull_requests.author_opened_in_hour IS 'How many the author had opened in the last hour';
COMMENT ON COLUMN features.pull_requests.author_opened_in_day IS 'How many the author had opened in the last 24 hours';
COMMENT ON COLUMN features.pull_requests.author_is_newcomer IS
    'No pull request of the author had landed in this repository';
COMMENT ON COLUMN features.pull_requests.author_tenure_in_repo_days IS
    'Days since the author''s first pull request or issue in this repository; 0 for the first';
COMMENT ON COLUMN features.pull_requests.author_is_first_contribution IS
    'The author had opened no pull request and no issue in this repository';
COMMENT ON COLUMN features.pull_requests.author_reviews_given_in_repo IS
    'Verdicts that the author had given on other people''s pull requests in this repository: a right shown by its use';
COMMENT ON COLUMN features.pull_requests.author_merges_given_in_repo IS
    'Other people''s pull requests that the author had merged in this repository, as far as the source tells who did';
COMMENT ON COLUMN features.pull_requests.author_seniority IS
    'newcomer, junior, mid or senior in this repository at the opening, or unknown; for reports, not a feature '
    'of any model';
COMMENT ON COLUMN features.pull_requests.author_association IS
    'The author''s standing in the repository, in the platform''s word, where that was read at the opening';
COMMENT ON COLUMN features.pull_requests.origin IS
    'Who made it, as of the opening: person, assisted (a person with an assistant), agent, automation; unknown where '
    'neither its text nor its branch is known, or its account is gone';
COMMENT ON COLUMN features.pull_requests.origin_agent IS
    'Whose agent or assistant, such as Copilot or Codex, where the rule says; for reports';
COMMENT ON COLUMN features.pull_requests.origin_evidence IS
    'What says so: the kind of evidence and what it means, or where no mark was found; for reports';
COMMENT ON COLUMN features.pull_requests.origin_sender IS
    'Login of who had it made by an agent, or with an assistant, where that is known: the account that opened it, if '
    'it is a person''s; else who was assigned or is named at the opening; for reports';
COMMENT ON COLUMN features.pull_requests.origin_rules IS
    'Version of the rules that were applied (ops.origin_rules); for reports';
COMMENT ON COLUMN features.pull_requests.repo_pass_rate IS
    'Share of pull requests, but those of automations, that passed, of those decided in the last 90 days: '
    '(passed + 1) / (decided + 2)';
COMMENT ON COLUMN features.pull_requests.repo_decided_recently IS 'How many were decided in the last 90 days';
COMMENT ON COLUMN features.pull_requests.repo_open_prs IS 'Open pull requests in the repository (its review load)';
COMMENT ON COLUMN features.pull_requests.repo_hours_to_first_review IS
    'Median hours to the first review by a person, over the last 100 reviewed pull requests';
COMMENT ON COLUMN features.pull_requests.repo_verdict_share IS
    'Share of those decided in the last 90 days that a verdict decided, not their landing or closing: '
    '(verdicts + 1) / (decided + 2)';
COMMENT ON COLUMN features.pull_requests.repo_changes_rate IS
    'Share of people''s verdicts of the last 90 days, but those on automations'' work, that asked for '
    'changes: (requests + 1) / (verdicts + 3)';
COMMENT ON COLUMN features.pull_requests.log_lines IS 'ln(1 + lines_changed)';
COMMENT ON COLUMN features.pull_requests.lines_changed IS
    'Lines added and deleted by the commits that existed at the opening';
COMMENT ON COLUMN features.pull_requests.files_changed IS 'Files changed at the opening';
COMMENT ON COLUMN features.pull_requests.commits IS 'Commits at the opening';
COMMENT ON COLUMN features.pull_requests.additions_share IS 'Share of additions among the changed lines';
COMMENT ON COLUMN features.pull_requests.sizes_from IS
    'Where the sizes come from: as raw.pull_requests.opened_sizes_from, or webhook; for reports';
COMMENT ON COLUMN features.pull_requests.title_length IS 'Characters of the title at the opening';
COMMENT ON COLUMN features.pull_requests.body_length IS 'Characters of the description at the opening';
COMMENT ON COLUMN features.pull_requests.link_count IS 'Links in the description at the opening';
COMMENT ON COLUMN features.pull_requests.checklist_items IS 'Checklist items in the description at the opening';
COMMENT ON COLUMN features.pull_requests.code_blocks IS 'Fenced code blocks in the description at the opening';
COMMENT ON COLUMN features.pull_requests.is_bug_fix IS
    'By a label put on up to the opening, or the title''s prefix (fix:)';
COMMENT ON COLUMN features.pull_requests.is_feature IS 'By label, or prefix (feat:)';
COMMENT ON COLUMN features.pull_requests.is_documentation IS 'By label, or prefix (docs:)';
COMMENT ON COLUMN features.pull_requests.is_refactor IS 'By label, or prefix (refactor:)';
COMMENT ON COLUMN features.pull_requests.hour IS 'Hour of the opening, 0 to 23 (UTC)';
COMMENT ON COLUMN features.pull_requests.weekday IS 'Day of the opening, 0 Monday to 6 Sunday (UTC)';
COMMENT ON COLUMN features.pull_requests.is_weekend IS 'Saturday or Sunday (UTC)';
COMMENT ON COLUMN features.pull_requests.is_draft IS 'Opened as a draft; NULL where the source does not tell';
COMMENT ON COLUMN features.pull_requests.touches_tests IS
    'Whether it changes tests, by the paths of its files at the opening (raw.files)';
COMMENT ON COLUMN features.pull_requests.documentation_only IS
    'Whether it changes nothing but documentation, by their paths';
COMMENT ON COLUMN features.pull_requests.machine_made_share IS
    'Share of its files that a program writes: vendored, generated, lock files';
COMMENT ON COLUMN features.pull_requests.path_depth IS 'Mean number of folders above its files';
COMMENT ON COLUMN features.pull_requests.extensions IS
    'How many kinds of files it changes, by the endings of their names';
COMMENT ON COLUMN features.pull_requests.files_prior_changes IS
    'Mean number of pull requests opened before that changed the same file';
COMMENT ON COLUMN features.pull_requests.files_failed_share IS
    'Of those that were decided before, the share that did not pass';
COMMENT ON COLUMN features.pull_requests.files_known_share IS
    'Share of its files that the author had changed in a pull request before';
COMMENT ON COLUMN features.pull_requests.reviewers_asked IS
    'People and teams asked for a review within ten seconds of the opening';
COMMENT ON COLUMN features.pull_requests.asked_changes_rate IS
    'Share of the verdicts of those who were asked, before, that asked for changes: (requests + 1) / (verdicts + 3)';
COMMENT ON COLUMN features.pull_requests.closes_issues IS 'Issues that the description says it closes, at the opening';
COMMENT ON COLUMN features.pull_requests.linked_issue_age_hours IS
    'Hours since the first opened of these was opened; NULL if none is known';
COMMENT ON COLUMN features.pull_requests.linked_issue_is_own IS 'Whether the author opened one of these';
COMMENT ON COLUMN features.pull_requests.checklist_ticked_share IS
    'Share of the checklist that was ticked at the opening; NULL without a checklist';
COMMENT ON COLUMN features.pull_requests.form_kept IS
    'Share kept of the headings that half of the repository''s descriptions of the six months before had';
COMMENT ON COLUMN features.pull_requests.base_share IS
    'Share of the repository''s earlier pull requests that were opened into the same branch';
COMMENT ON COLUMN features.pull_requests.is_from_fork IS 'Whether its branch is in another repository';
COMMENT ON COLUMN features.pull_requests.passed IS
    'Label: the first decisive review by another person approved, or it landed without one; or what people say of it '
    '(ml.feedback), where nothing is decided or two keys say so';
COMMENT ON COLUMN features.pull_requests.passed_by IS
    'Whose word that is: forge, feedback, or contested: the forge''s, against feedback that no second key confirmed';
COMMENT ON COLUMN features.pull_requests.decided_by_verdict IS
    'Whether a reviewer''s verdict decided that, rather than its landing or closing without one; NULL while undecided';
COMMENT ON COLUMN features.pull_requests.decided_at IS 'When that became known (UTC); NULL while undecided';
COMMENT ON COLUMN features.pull_requests.review_cycles IS 'Requests for changes by other people, in all';
COMMENT ON COLUMN features.pull_requests.closed_at IS 'When it was closed (UTC), merged or not; NULL while open';
COMMENT ON COLUMN features.pull_requests.merged_at IS 'When it was merged (UTC); NULL if it is not';
COMMENT ON COLUMN features.pull_requests.landed_at IS
    'When it landed (UTC), whether the forge calls that merged or closed; NULL if it did not';
COMMENT ON COLUMN features.pull_requests.landed_evidence IS
    'What says that it landed: merged, or, of one that is closed, closing_commit, title, comment or label';
COMMENT ON COLUMN features.pull_requests.author_hours_to_first_response IS
    'Median hours to the first response, over the author''s last 100 answered pull requests in this repository';
COMMENT ON COLUMN features.pull_requests.repo_hours_to_first_response IS
    'Median hours to the first response, over people''s last 100 answered pull requests in this repository';
COMMENT ON COLUMN features.pull_requests.first_response_at IS
    'When a person other than the author first responded while it was open (UTC); NULL while nobody has';
COMMENT ON COLUMN features.pull_requests.first_response_by IS
    'By what: review, review_comment, comment, merge or closing; NULL while nobody has';
COMMENT ON COLUMN features.pull_requests.first_response_hours IS
    'Label: hours from the opening to the first response; NULL while nobody has, or if it was closed before';
COMMENT ON COLUMN features.pull_requests.closed_unanswered_at IS
    'When it was closed before any other person was seen to respond (UTC): nobody waits for a response any longer';
COMMENT ON COLUMN features.pull_requests.exclusions IS
    'All reasons that may keep it out of a model, whose spec says which do: opening_not_observed, outside_coverage, '
    'bot, draft, size_unknown, too_small, undecided. Sizes decide only where at least half of a repository''s are '
    'known';
COMMENT ON COLUMN features.pull_requests.exclusion IS
    'Why p0 is not trained on it: opening_not_observed, outside_coverage, bot, draft, size_unknown, too_small, '
    'undecided; NULL if it is';
COMMENT ON COLUMN features.pull_requests.observed_until IS
    'End of the repository''s covered time: later decisions cannot have been seen';

-- name: rows
-- "Before" is strict throughout: what happened at the very instant of an opening is not known to it.
-- What GitHub's webhook said at the opening itself; before deliveries were kept, with the answer that it got.
WITH deliveries AS (
    SELECT repo_id, number, arg_min(opening, t) AS opening
    FROM (
        SELECT repo_id, number, facts::JSON AS opening, received_at AS t
        FROM ml.deliveries
        WHERE event = 'pull_request' AND action = 'opened'
        UNION ALL
        SELECT repo_id, number, inputs::JSON -> '$.request.opening', TIMESTAMP 'infinity'
        FROM ml.predictions
        WHERE role = 'served' AND contains(inputs, '"opening":')
    )
    GROUP BY repo_id, number
),
origins AS (
    FROM origins(
        'raw.pull_requests', 'ml.deliveries', 'ops.machine_accounts', $origin_rules, $origin_marks
    )
),
observed_openings AS (
    SELECT
        raw.repo_id,
        raw.number,
        raw.author_id,
        raw.author_login,
        origins.hand,
        origins.hand = 'automation' AS is_automation,
        raw.source,
        raw.created_at,
        raw.closed_at,
        raw.merged_at,
        coalesce((deliveries.opening ->> 'base_ref'), raw.opened_base_ref) AS opened_base_ref,
        coalesce((deliveries.opening ->> 'is_from_fork')::BOOLEAN, raw.is_from_fork) AS is_from_fork,
        -- A code owner may be asked a moment after the delivery of the opening.
        coalesce(raw.opened_reviewers, json_array_length(deliveries.opening -> 'reviewers')::BIGINT)
            AS opened_reviewers,
        coalesce((deliveries.opening ->> 'draft')::BOOLEAN, raw.opened_is_draft) AS opened_is_draft,
        raw.opened_title IS NOT NULL OR is_snapshot(raw.source) OR (deliveries.opening ->> 'title') IS NOT NULL
            AS is_opening_observed,
        coalesce(deliveries.opening ->> 'author_association', raw.opened_author_association)
            AS opened_author_association,
        CASE
            WHEN (deliveries.opening ->> 'additions') IS NOT NULL THEN {
                'additions': (deliveries.opening ->> 'additions')::BIGINT,
                'deletions': (deliveries.opening ->> 'deletions')::BIGINT,
                'changed_files': (deliveries.opening ->> 'changed_files')::BIGINT,
                'commits': (deliveries.opening ->> 'commits')::BIGINT,
                'sizes_from': 'webhook'
            }
            ELSE {
                'additions': raw.opened_additions, 'deletions': raw.opened_deletions,
                'changed_files': raw.opened_changed_files, 'commits': raw.opened_commits,
                'sizes_from': raw.opened_sizes_from
            }
        END AS opened
    FROM raw.pull_requests AS raw
    INNER JOIN origins ON raw.repo_id = origins.repo_id AND raw.number = origins.number
    LEFT JOIN deliveries ON raw.repo_id = deliveries.repo_id AND raw.number = deliveries.number
    WHERE raw.created_at IS NOT NULL
),
-- Where most sizes are known, an unknown one is the trace of what was pushed later, so it counts neither as small nor
-- as large. Where most are unknown, being known would tell as much, and size decides nothing.
deciding_sizes AS (
    SELECT
        repo_id,
        2 * count(opened.additions) FILTER (is_opening_observed) >= count(*) FILTER (is_opening_observed)
            AS size_decides
    FROM observed_openings
    GROUP BY repo_id
),
pull_requests AS (
    SELECT observed_openings.* EXCLUDE (opened), unnest(opened), deciding_sizes.size_decides
    FROM observed_openings
    INNER JOIN deciding_sizes ON observed_openings.repo_id = deciding_sizes.repo_id
),
landed AS (FROM landings('raw.pull_requests', 'raw.issue_comments', 'raw.label_events')),
-- A verdict counts if another person gave it while the pull request was open.
verdicts AS (
    SELECT
        reviews.repo_id, reviews.number, reviews.review_id, reviews.submitted_at, reviews.submitted_state,
        pull_requests.author_id, pull_requests.hand, pull_requests.is_automation, pull_requests.created_at
    FROM raw.reviews AS reviews
    INNER JOIN pull_requests
        ON reviews.repo_id = pull_requests.repo_id AND reviews.number = pull_requests.number
    WHERE NOT is_machine('ops.machine_accounts', reviews.author_is_bot, reviews.author_id)
        AND coalesce(reviews.author_id <> pull_requests.author_id, reviews.author_login <> pull_requests.author_login)
        AND reviews.submitted_at >= pull_requests.created_at
        AND (pull_requests.closed_at IS NULL OR reviews.submitted_at <= pull_requests.closed_at)
),
reviewed AS (
    SELECT
        repo_id,
        number,
        min(submitted_at) AS first_review_at,
        min(submitted_at) FILTER (submitted_state IN ('APPROVED', 'CHANGES_REQUESTED')) AS first_decision_at,
        arg_min(submitted_state = 'APPROVED', {'t': submitted_at, 'id': review_id})
            FILTER (submitted_state IN ('APPROVED', 'CHANGES_REQUESTED')) AS first_passed,
        count(*) FILTER (submitted_state = 'CHANGES_REQUESTED') AS review_cycles
    FROM verdicts
    GROUP BY repo_id, number
),
outcomes AS (
    SELECT
        pull_requests.repo_id,
        pull_requests.number,
        pull_requests.author_id,
        pull_requests.hand,
        pull_requests.is_automation,
        pull_requests.created_at,
        pull_requests.closed_at,
        pull_requests.merged_at,
        landed.landed_at,
        landed.evidence AS landed_evidence,
        coalesce(reviewed.first_decision_at, pull_requests.closed_at) AS decided_at,
        CASE
            WHEN reviewed.first_decision_at IS NOT NULL THEN reviewed.first_passed
            WHEN pull_requests.closed_at IS NOT NULL THEN landed.landed_at IS NOT NULL
        END AS passed,
        reviewed.first_review_at,
        reviewed.first_decision_at,
        coalesce(reviewed.review_cycles, 0) AS review_cycles
    FROM pull_requests
    LEFT JOIN reviewed ON pull_requests.repo_id = reviewed.repo_id AND pull_requests.number = reviewed.number
    LEFT JOIN landed ON pull_requests.repo_id = landed.repo_id AND pull_requests.number = landed.number
),
-- rank() - 1 counts what was opened strictly before.
openings AS (
    SELECT
        repo_id,
        number,
        rank() OVER (PARTITION BY author_id, hand ORDER BY created_at) - 1 AS author_prior_prs,
        rank() OVER (PARTITION BY author_id, hand, repo_id ORDER BY created_at) - 1 AS author_prior_prs_in_repo,
        rank() OVER (PARTITION BY repo_id ORDER BY created_at) - 1 AS repo_prior_prs,
        min(created_at) OVER (PARTITION BY author_id, hand) AS author_first_opened_at,
        count(*) OVER (
            PARTITION BY author_id, hand ORDER BY created_at
            RANGE BETWEEN INTERVAL 1 HOUR PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
        ) AS author_opened_in_hour,
        count(*) OVER (
            PARTITION BY author_id, hand ORDER BY created_at
            RANGE BETWEEN INTERVAL 1 DAY PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
        ) AS author_opened_in_day,
        max(created_at) OVER (
            PARTITION BY author_id, hand ORDER BY created_at
            RANGE BETWEEN UNBOUNDED PRECEDING AND INTERVAL 1 MICROSECOND PRECEDING
        ) AS author_last_opened_at
    FROM outcomes
),
-- Running totals, one row an instant at which they change; an opening then looks up the last one before it.
-- Sums of DOUBLE are exact here (they count), and run faster than DuckDB's sums of integers.
author_decisions AS (
    SELECT
        author_id,
        hand,
        decided_at AS t,
        sum(count(*)::DOUBLE) OVER before AS decided,
        sum(count_if(passed)::DOUBLE) OVER before AS passed
    FROM outcomes
    WHERE author_id IS NOT NULL AND decided_at IS NOT NULL
    GROUP BY author_id, hand, decided_at
    WINDOW before AS (PARTITION BY author_id, hand ORDER BY decided_at ROWS UNBOUNDED PRECEDING)
),
author_closings AS (
    SELECT
        author_id,
        hand,
        closed_at AS t,
        sum(count(*)::DOUBLE) OVER before AS closed
    FROM outcomes
    WHERE author_id IS NOT NULL AND closed_at IS NOT NULL
    GROUP BY author_id, hand, closed_at
    WINDOW before AS (PARTITION BY author_id, hand ORDER BY closed_at ROWS UNBOUNDED PRECEDING)
),
author_merges AS (
    SELECT
        author_id,
        hand,
        landed_at AS t,
        sum(count(*)::DOUBLE) OVER (PARTITION BY author_id, hand ORDER BY landed_at ROWS UNBOUNDED PRECEDING) AS merged
    FROM outcomes
    WHERE author_id IS NOT NULL AND landed_at IS NOT NULL
    GROUP BY author_id, hand, landed_at
),
author_merges_in_repo AS (
    SELECT
        author_id,
        hand,
        repo_id,
        landed_at AS t,
        sum(count(*)::DOUBLE) OVER (
            PARTITION BY author_id, hand, repo_id ORDER BY landed_at ROWS UNBOUNDED PRECEDING
        ) AS merged
    FROM outcomes
    WHERE author_id IS NOT NULL AND landed_at IS NOT NULL
    GROUP BY author_id, hand, repo_id, landed_at
),
author_cycles AS (
    SELECT
        author_id,
        hand,
        submitted_at AS t,
        sum(count(*)::DOUBLE) OVER (
            PARTITION BY author_id, hand ORDER BY submitted_at ROWS UNBOUNDED PRECEDING
        ) AS cycles
    FROM verdicts
    WHERE author_id IS NOT NULL AND submitted_state = 'CHANGES_REQUESTED'
    GROUP BY author_id, hand, submitted_at
),
-- Rights are the account's, whoever does the work under it.
author_rights AS (
    SELECT
        author_id,
        repo_id,
        t,
        sum(sum(reviews)::DOUBLE) OVER before AS reviews,
        sum(sum(merges)::DOUBLE) OVER before AS merges
    FROM rights_used('raw.reviews', 'raw.pull_requests')
    GROUP BY author_id, repo_id, t
    WINDOW before AS (PARTITION BY author_id, repo_id ORDER BY t ROWS UNBOUNDED PRECEDING)
),
-- The first of all is never later than the opening that asks. An issue is the account's own.
author_arrivals AS (
    SELECT author_id, hand, repo_id, min(created_at) AS arrived_at
    FROM (
        SELECT author_id, hand, repo_id, created_at FROM pull_requests
        UNION ALL
        SELECT
            author_id,
            CASE
                WHEN is_machine('ops.machine_accounts', author_is_bot, author_id) THEN 'automation' ELSE 'person'
            END::ENUM ('person', 'assisted', 'agent', 'automation'),
            repo_id,
            created_at
        FROM raw.issues
        WHERE created_at IS NOT NULL
    )
    WHERE author_id IS NOT NULL
    GROUP BY author_id, hand, repo_id
),
repo_closings AS (
    SELECT
        repo_id,
        closed_at AS t,
        sum(count(*)::DOUBLE) OVER (PARTITION BY repo_id ORDER BY closed_at ROWS UNBOUNDED PRECEDING) AS closed
    FROM outcomes
    WHERE closed_at IS NOT NULL
    GROUP BY repo_id, closed_at
),
repo_decisions AS (
    SELECT
        repo_id,
        decided_at AS t,
        sum(count(*)::DOUBLE) OVER before AS decided,
        sum(count_if(passed)::DOUBLE) OVER before AS passed,
        sum(count(first_decision_at)::DOUBLE) OVER before AS by_verdict
    FROM outcomes
    WHERE decided_at IS NOT NULL AND NOT is_automation
    GROUP BY repo_id, decided_at
    WINDOW before AS (PARTITION BY repo_id ORDER BY decided_at ROWS UNBOUNDED PRECEDING)
),
repo_verdicts AS (
    SELECT
        repo_id,
        submitted_at AS t,
        sum(count(*)::DOUBLE) OVER before AS verdicts,
        sum(count_if(submitted_state = 'CHANGES_REQUESTED')::DOUBLE) OVER before AS requests
    FROM verdicts
    WHERE submitted_state IN ('APPROVED', 'CHANGES_REQUESTED') AND NOT is_automation
    GROUP BY repo_id, submitted_at
    WINDOW before AS (PARTITION BY repo_id ORDER BY submitted_at ROWS UNBOUNDED PRECEDING)
),
asked AS (
    SELECT repo_id, number, author_id, hand, created_at AS t, created_at - INTERVAL 90 DAY AS recently FROM outcomes
),
author_history AS (
    SELECT
        asked.repo_id,
        asked.number,
        coalesce(author_decisions.decided, 0) AS prior_decided,
        coalesce(author_decisions.passed, 0) AS prior_passed,
        coalesce(author_closings.closed, 0) AS prior_closed,
        coalesce(author_merges.merged, 0) AS prior_merged,
        coalesce(author_merges_in_repo.merged, 0) AS prior_merged_in_repo,
        coalesce(author_cycles.cycles, 0) AS prior_cycles,
        coalesce(author_rights.reviews, 0) AS reviews_given_in_repo,
        coalesce(author_rights.merges, 0) AS merges_given_in_repo
    FROM asked
    ASOF LEFT JOIN author_decisions
        ON asked.author_id = author_decisions.author_id AND asked.hand = author_decisions.hand
        AND asked.t > author_decisions.t
    ASOF LEFT JOIN author_closings
        ON asked.author_id = author_closings.author_id AND asked.hand = author_closings.hand
        AND asked.t > author_closings.t
    ASOF LEFT JOIN author_merges
        ON asked.author_id = author_merges.author_id AND asked.hand = author_merges.hand
        AND asked.t > author_merges.t
    ASOF LEFT JOIN author_merges_in_repo
        ON asked.author_id = author_merges_in_repo.author_id AND asked.hand = author_merges_in_repo.hand
        AND asked.repo_id = author_merges_in_repo.repo_id
        AND asked.t > author_merges_in_repo.t
    ASOF LEFT JOIN author_cycles
        ON asked.author_id = author_cycles.author_id AND asked.hand = author_cycles.hand
        AND asked.t > author_cycles.t
    ASOF LEFT JOIN author_rights
        ON asked.author_id = author_rights.author_id AND asked.repo_id = author_rights.repo_id
        AND asked.t > author_rights.t
    WHERE asked.author_id IS NOT NULL
),
-- Decided in the last 90 days: decided by now, less what had been decided before then.
repo_history AS (
    SELECT
        asked.repo_id,
        asked.number,
        coalesce(repo_closings.closed, 0) AS closed,
        coalesce(now.decided, 0) - coalesce(earlier.decided, 0) AS decided,
        coalesce(now.passed, 0) - coalesce(earlier.passed, 0) AS passed,
        coalesce(now.by_verdict, 0) - coalesce(earlier.by_verdict, 0) AS by_verdict,
        coalesce(verdicts_now.verdicts, 0) - coalesce(verdicts_earlier.verdicts, 0) AS verdicts,
        coalesce(verdicts_now.requests, 0) - coalesce(verdicts_earlier.requests, 0) AS requests
    FROM asked
    ASOF LEFT JOIN repo_closings ON asked.repo_id = repo_closings.repo_id AND asked.t > repo_closings.t
    ASOF LEFT JOIN repo_decisions AS now ON asked.repo_id = now.repo_id AND asked.t > now.t
    ASOF LEFT JOIN repo_decisions AS earlier ON asked.repo_id = earlier.repo_id AND asked.recently > earlier.t
    ASOF LEFT JOIN repo_verdicts AS verdicts_now
        ON asked.repo_id = verdicts_now.repo_id AND asked.t > verdicts_now.t
    ASOF LEFT JOIN repo_verdicts AS verdicts_earlier
        ON asked.repo_id = verdicts_earlier.repo_id AND asked.recently > verdicts_earlier.t
),
review_speed AS (
    SELECT
        repo_id,
        first_review_at,
        median(epoch(first_review_at - created_at) / 3600) OVER (
            PARTITION BY repo_id ORDER BY first_review_at, number ROWS 99 PRECEDING
        ) AS hours_to_first_review
    FROM outcomes
    WHERE first_review_at IS NOT NULL
    QUALIFY number = last_value(number) OVER (
        PARTITION BY repo_id, first_review_at ORDER BY number
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
),
-- Responses: what people did to it while it was open. Who closed it is not always known; nobody known is no response.
acts AS (
    SELECT repo_id, number, submitted_at AS t, author_id, author_login, author_is_bot, 'review' AS kind, 1 AS place
    FROM raw.reviews
    UNION ALL
    SELECT repo_id, number, created_at, author_id, author_login, author_is_bot, 'review_comment', 2
    FROM raw.review_comments
    UNION ALL
    SELECT repo_id, number, created_at, author_id, author_login, author_is_bot, 'comment', 3
    FROM raw.issue_comments
    UNION ALL
    SELECT
        repo_id, number, closed_at, coalesce(closed_by_id, merged_by_id), closed_by_login, closed_by_is_bot,
        CASE WHEN merged_at IS NOT NULL THEN 'merge' ELSE 'closing' END, 4
    FROM raw.pull_requests
    WHERE closed_at IS NOT NULL
),
responded AS (
    SELECT
        acts.repo_id,
        acts.number,
        any_value(pull_requests.author_id) AS author_id,
        any_value(pull_requests.hand) AS hand,
        any_value(pull_requests.is_automation) AS is_automation,
        min(acts.t) AS first_response_at,
        arg_min(acts.kind, {'t': acts.t, 'place': acts.place}) AS first_response_by,
        epoch(first_response_at - any_value(pull_requests.created_at)) / 3600 AS first_response_hours
    FROM acts
    INNER JOIN pull_requests ON acts.repo_id = pull_requests.repo_id AND acts.number = pull_requests.number
    WHERE NOT is_machine('ops.machine_accounts', acts.author_is_bot, acts.author_id)
        AND coalesce(acts.author_id <> pull_requests.author_id, acts.author_login <> pull_requests.author_login)
        AND acts.t >= pull_requests.created_at
        AND (pull_requests.closed_at IS NULL OR acts.t <= pull_requests.closed_at)
    GROUP BY acts.repo_id, acts.number
),
repo_response_speed AS (
    SELECT
        repo_id,
        first_response_at AS t,
        median(first_response_hours) OVER (
            PARTITION BY repo_id ORDER BY first_response_at, number ROWS 99 PRECEDING
        ) AS hours
    FROM responded
    WHERE NOT is_automation
    QUALIFY number = last_value(number) OVER (
        PARTITION BY repo_id, first_response_at ORDER BY number
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
),
author_response_speed AS (
    SELECT
        author_id,
        hand,
        repo_id,
        first_response_at AS t,
        median(first_response_hours) OVER (
            PARTITION BY author_id, hand, repo_id ORDER BY first_response_at, number ROWS 99 PRECEDING
        ) AS hours
    FROM responded
    WHERE author_id IS NOT NULL
    QUALIFY number = last_value(number) OVER (
        PARTITION BY author_id, hand, repo_id, first_response_at ORDER BY number
        ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING
    )
),
responses_before AS (
    SELECT
        asked.repo_id,
        asked.number,
        repo_response_speed.hours AS repo_hours,
        author_response_speed.hours AS author_hours
    FROM asked
    ASOF LEFT JOIN repo_response_speed
        ON asked.repo_id = repo_response_speed.repo_id AND asked.t > repo_response_speed.t
    ASOF LEFT JOIN author_response_speed
        ON asked.author_id = author_response_speed.author_id AND asked.hand = author_response_speed.hand
        AND asked.repo_id = author_response_speed.repo_id AND asked.t > author_response_speed.t
),
-- Only the keys go through the join: it sorts what it is given.
speed_at_opening AS (
    SELECT openings.repo_id, openings.number, review_speed.hours_to_first_review
    FROM (SELECT repo_id, number, created_at FROM outcomes) AS openings
    ASOF INNER JOIN review_speed
        ON openings.repo_id = review_speed.repo_id AND openings.created_at > review_speed.first_review_at
),
label_kinds AS (
    SELECT repo_id, number, list(DISTINCT label_kind(label)) AS kinds
    FROM (
        FROM labels_at_opening('raw.label_events', 'raw.pull_requests')
        ANTI JOIN (FROM deliveries WHERE (opening -> 'labels') IS NOT NULL) USING (repo_id, number)
        UNION ALL
        SELECT repo_id, number, unnest((opening -> 'labels')::VARCHAR[]) FROM deliveries
    )
    WHERE label_kind(label) IS NOT NULL
    GROUP BY repo_id, number
),
-- Texts are measured where they are read: they are too long to carry through joins.
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
        closing_references(opened_body) AS closing_references,
        array_length(closing_references) AS closes_issues,
        headings_of(opened_body) AS headings,
        CASE WHEN opened_body IS NOT NULL THEN ticked_share(opened_body) END AS checklist_ticked_share
    FROM opened_texts('raw.pull_requests', 'ml.deliveries')
),
file_facts AS (FROM file_facts('raw.files', 'outcomes')),
asked_facts AS (FROM asked_facts('raw.review_requests', 'raw.reviews', 'outcomes')),
linked AS (FROM linked_issues('raw.issues', 'texts', 'outcomes')),
forms AS (FROM forms_kept('texts', 'outcomes')),
bases AS (
    SELECT
        repo_id,
        number,
        (rank() OVER (PARTITION BY repo_id, opened_base_ref ORDER BY created_at) - 1)
        / nullif(rank() OVER (PARTITION BY repo_id ORDER BY created_at) - 1, 0) AS base_share
    FROM pull_requests
    WHERE opened_base_ref IS NOT NULL
),
kinds AS (
    SELECT
        pull_requests.repo_id,
        pull_requests.number,
        texts.prefix,
        coalesce(label_kinds.kinds, []) AS kinds,
        label_kinds.kinds IS NULL AND texts.title_length IS NULL AS kind_unknown
    FROM pull_requests
    INNER JOIN texts ON pull_requests.repo_id = texts.repo_id AND pull_requests.number = texts.number
    LEFT JOIN label_kinds
        ON pull_requests.repo_id = label_kinds.repo_id AND pull_requests.number = label_kinds.number
),
covered AS (
    SELECT repo_id, covered_from, covered_until
    FROM ops.coverage
    WHERE is_covered
    QUALIFY row_number() OVER (PARTITION BY repo_id ORDER BY covered_until DESC, covered_from) = 1
),
-- A person who knows better corrects the label, and nothing else: what others knew then stays what it was.
corrected AS (
    SELECT repo_id, number, label = 'passed' AS passed, given_at, confirmed
    FROM newest_feedback('ml.feedback', 'p0', 'outcome')
),
features AS (
    SELECT
        pr.repo_id,
        pr.number,
        pr.created_at AS opened_at,
        pr.author_id,
        pr.source,
        CASE WHEN pr.author_id IS NOT NULL THEN openings.author_prior_prs END::INTEGER AS author_prior_prs,
        CASE WHEN pr.author_id IS NOT NULL THEN openings.author_prior_prs_in_repo END::INTEGER
            AS author_prior_prs_in_repo,
        author.prior_merged::INTEGER AS author_prior_merged,
        author.prior_merged_in_repo::INTEGER AS author_prior_merged_in_repo,
        author.prior_decided::INTEGER AS author_prior_decided,
        (repo.passed + 1) / (repo.decided + 2) AS repo_pass_rate,
        author.prior_passed::INTEGER AS author_prior_passed,
        shrunk(author.prior_passed, author.prior_decided, repo_pass_rate) AS author_pass_rate,
        author.prior_cycles / nullif(openings.author_prior_prs, 0) AS author_average_cycles,
        CASE
            WHEN pr.author_id IS NOT NULL THEN epoch(pr.created_at - openings.author_last_opened_at) / 86400
        END AS author_days_since_last_pr,
        CASE
            WHEN pr.author_id IS NOT NULL THEN epoch(pr.created_at - openings.author_first_opened_at) / 86400
        END AS author_tenure_days,
        CASE
            WHEN pr.author_id IS NOT NULL THEN openings.author_prior_prs - author.prior_closed
        END::INTEGER AS author_open_prs,
        CASE WHEN pr.author_id IS NOT NULL THEN openings.author_opened_in_hour END::INTEGER AS author_opened_in_hour,
        CASE WHEN pr.author_id IS NOT NULL THEN openings.author_opened_in_day END::INTEGER AS author_opened_in_day,
        author.prior_merged_in_repo = 0 AS author_is_newcomer,
        epoch(pr.created_at - author_arrivals.arrived_at) / 86400 AS author_tenure_in_repo_days,
        author_arrivals.arrived_at >= pr.created_at AS author_is_first_contribution,
        author.reviews_given_in_repo::INTEGER AS author_reviews_given_in_repo,
        author.merges_given_in_repo::INTEGER AS author_merges_given_in_repo,
        seniority(
            author.prior_merged_in_repo, author_tenure_in_repo_days, pr.opened_author_association,
            author_reviews_given_in_repo, author_merges_given_in_repo,
            $seniority_merged::INTEGER[], $seniority_days::INTEGER[]
        ) AS author_seniority,
        pr.opened_author_association AS author_association,
        origins.origin,
        origins.origin_agent,
        origins.origin_evidence,
        origins.origin_sender,
        $origin_version AS origin_rules,
        repo.decided::INTEGER AS repo_decided_recently,
        (openings.repo_prior_prs - repo.closed)::INTEGER AS repo_open_prs,
        speed.hours_to_first_review AS repo_hours_to_first_review,
        (repo.by_verdict + 1) / (repo.decided + 2) AS repo_verdict_share,
        (repo.requests + 1) / (repo.verdicts + 3) AS repo_changes_rate,
        pr.additions + pr.deletions AS lines_changed,
        log_size(lines_changed) AS log_lines,
        pr.changed_files AS files_changed,
        pr.commits,
        pr.additions / nullif(lines_changed, 0) AS additions_share,
        CASE WHEN lines_changed IS NOT NULL THEN pr.sizes_from END AS sizes_from,
        texts.title_length,
        texts.body_length,
        texts.link_count,
        texts.checklist_items,
        texts.code_blocks,
        CASE
            WHEN NOT kind_unknown
                THEN list_contains(kinds.kinds, 'bug')
                    OR coalesce(kinds.prefix IN ('fix', 'bugfix', 'hotfix', 'bug'), false)
        END AS is_bug_fix,
        CASE
            WHEN NOT kind_unknown
                THEN list_contains(kinds.kinds, 'feature') OR coalesce(kinds.prefix IN ('feat', 'feature'), false)
        END AS is_feature,
        CASE
            WHEN NOT kind_unknown
                THEN list_contains(kinds.kinds, 'docs') OR coalesce(kinds.prefix IN ('docs', 'doc'), false)
        END AS is_documentation,
        CASE
            WHEN NOT kind_unknown
                THEN list_contains(kinds.kinds, 'refactor') OR coalesce(kinds.prefix IN ('refactor', 'cleanup'), false)
        END AS is_refactor,
        hour(pr.created_at)::INTEGER AS hour,
        (isodow(pr.created_at) - 1)::INTEGER AS weekday,
        is_weekend(weekday) AS is_weekend,
        pr.opened_is_draft AS is_draft,
        file_facts.* EXCLUDE (repo_id, number),
        pr.opened_reviewers AS reviewers_asked,
        asked_facts.asked_changes_rate,
        texts.closes_issues,
        linked.linked_issue_age_hours,
        linked.linked_issue_is_own,
        texts.checklist_ticked_share,
        forms.form_kept,
        bases.base_share,
        pr.is_from_fork,
        label_by(outcomes.passed, corrected.passed, corrected.confirmed, outcomes.passed IS NULL) AS passed_by,
        CASE WHEN passed_by = 'feedback' THEN corrected.passed ELSE outcomes.passed END AS passed,
        CASE WHEN outcomes.decided_at IS NOT NULL THEN outcomes.first_decision_at IS NOT NULL END
            AS decided_by_verdict,
        CASE
            WHEN outcomes.decided_at IS NULL AND corrected.given_at < pr.created_at THEN pr.created_at
            ELSE coalesce(outcomes.decided_at, corrected.given_at)
        END AS decided_at,
        outcomes.review_cycles::INTEGER AS review_cycles,
        outcomes.closed_at,
        outcomes.merged_at,
        outcomes.landed_at,
        outcomes.landed_evidence,
        responses_before.author_hours AS author_hours_to_first_response,
        responses_before.repo_hours AS repo_hours_to_first_response,
        responded.first_response_at,
        responded.first_response_by,
        responded.first_response_hours,
        CASE WHEN responded.first_response_at IS NULL THEN outcomes.closed_at END AS closed_unanswered_at,
        list_filter(
            [
                CASE WHEN NOT pr.is_opening_observed THEN 'opening_not_observed' END,
                CASE
                    WHEN
                        NOT coalesce(
                            pr.created_at >= covered.covered_from AND pr.created_at < covered.covered_until, false
                        )
                        THEN 'outside_coverage'
                END,
                CASE WHEN outcomes.is_automation THEN 'bot' END,
                CASE WHEN pr.opened_is_draft THEN 'draft' END,
                CASE WHEN pr.size_decides AND lines_changed IS NULL THEN 'size_unknown' END,
                CASE WHEN pr.size_decides AND lines_changed < $min_pr_lines THEN 'too_small' END,
                CASE WHEN outcomes.decided_at IS NULL AND corrected.given_at IS NULL THEN 'undecided' END
            ],
            lambda reason: reason IS NOT NULL
        ) AS exclusions,
        exclusions[1] AS exclusion,
        covered.covered_until AS observed_until
    FROM pull_requests AS pr
    INNER JOIN outcomes ON pr.repo_id = outcomes.repo_id AND pr.number = outcomes.number
    INNER JOIN origins ON pr.repo_id = origins.repo_id AND pr.number = origins.number
    INNER JOIN openings ON pr.repo_id = openings.repo_id AND pr.number = openings.number
    INNER JOIN texts ON pr.repo_id = texts.repo_id AND pr.number = texts.number
    INNER JOIN kinds ON pr.repo_id = kinds.repo_id AND pr.number = kinds.number
    INNER JOIN repo_history AS repo ON pr.repo_id = repo.repo_id AND pr.number = repo.number
    LEFT JOIN author_history AS author
        ON pr.repo_id = author.repo_id AND pr.number = author.number
    LEFT JOIN file_facts ON pr.repo_id = file_facts.repo_id AND pr.number = file_facts.number
    LEFT JOIN asked_facts ON pr.repo_id = asked_facts.repo_id AND pr.number = asked_facts.number
    LEFT JOIN linked ON pr.repo_id = linked.repo_id AND pr.number = linked.number
    LEFT JOIN forms ON pr.repo_id = forms.repo_id AND pr.number = forms.number
    LEFT JOIN bases ON pr.repo_id = bases.repo_id AND pr.number = bases.number
    LEFT JOIN author_arrivals
        ON pr.author_id = author_arrivals.author_id AND pr.hand = author_arrivals.hand
        AND pr.repo_id = author_arrivals.repo_id
    LEFT JOIN covered ON pr.repo_id = covered.repo_id
    LEFT JOIN corrected ON pr.repo_id = corrected.repo_id AND pr.number = corrected.number
    LEFT JOIN speed_at_opening AS speed ON pr.repo_id = speed.repo_id AND pr.number = speed.number
    LEFT JOIN responded ON pr.repo_id = responded.repo_id AND pr.number = responded.number
    INNER JOIN responses_before ON pr.repo_id = responses_before.repo_id AND pr.number = responses_before.number
)
SELECT * FROM features;

-- name: texts
SELECT repo_id, number, opened_title, opened_body
FROM opened_texts('raw.pull_requests', 'ml.deliveries')
WHERE opened_title IS NOT NULL AND is_synthetic(source, repo_id) = $is_synthetic;

-- name: groups
SELECT groups.*, epoch(items.decided_at - items.opened_at) / 3600 AS completion_hours
FROM groups_of('features.pull_requests', 'raw.pull_requests') AS groups
INNER JOIN features.pull_requests AS items ON groups.repo_id = items.repo_id AND groups.number = items.number;

-- name: exclusions
SELECT
    coalesce(exclusion, 'none: p0 may train on it') AS exclusion,
    count(*) AS pull_requests,
    avg(passed::INTEGER) AS pass_rate
FROM features.pull_requests
GROUP BY exclusion
ORDER BY pull_requests DESC;

-- name: approvals_that_close
-- Repositories where approved pull requests end as closed far more often than the usual few: they land in a way that no
-- evidence shows. Counted over all time, as the way of landing is a habit.
SELECT
    coalesce(ops.qualified(features.repo_id, any_value(repositories.name)), features.repo_id::VARCHAR) AS repo,
    count(*) AS approved_and_closed,
    count(*) FILTER (features.landed_at IS NULL) AS not_landed
FROM features.pull_requests AS features
INNER JOIN raw.repositories AS repositories ON features.repo_id = repositories.repo_id
WHERE features.passed AND features.closed_at IS NOT NULL AND features.decided_at < features.closed_at
GROUP BY features.repo_id
HAVING approved_and_closed >= 20 AND not_landed > 0.3 * approved_and_closed
ORDER BY not_landed DESC;

-- name: open_by_repository
FROM open_by_repository('features.pull_requests');

-- name: checks
SELECT
    count(*) AS rows,
    (SELECT count(*) FROM raw.pull_requests WHERE created_at IS NOT NULL) AS raw_rows,
    count(*) FILTER (
        decided_at < opened_at OR author_days_since_last_pr <= 0 OR repo_open_prs < 0 OR author_tenure_days < 0
        OR first_response_hours < 0
    ) AS impossible
FROM features.pull_requests;

-- name: unknown_sizes
-- How far the share that passed is moved by leaving out what is fit for p0 but for its unknown size.
WITH fit AS (
    SELECT repo_id, passed, exclusion = 'size_unknown' AND len(exclusions) = 1 AS is_left_out, lines_changed
    FROM features.pull_requests
    WHERE exclusion IS NULL OR (exclusion = 'size_unknown' AND len(exclusions) = 1)
),
counts AS (
    SELECT
        count(*) FILTER (is_left_out) AS left_out,
        count(passed) FILTER (is_left_out) AS left_out_decided,
        count(passed) FILTER (coalesce(NOT is_left_out, true)) AS kept_decided,
        avg(passed::INTEGER) FILTER (is_left_out) AS left_out_passed,
        avg(passed::INTEGER) FILTER (coalesce(NOT is_left_out, true)) AS kept_passed,
        avg(passed::INTEGER) AS passed,
        count(DISTINCT repo_id) FILTER (coalesce(NOT is_left_out, true) AND lines_changed IS NULL)
            AS undecided_repositories
    FROM fit
)
SELECT
    *, coalesce(kept_passed - passed, 0) AS moved,
    'pull requests of unknown size' AS what, 'no size is unknown where sizes decide' AS if_none
FROM counts;
