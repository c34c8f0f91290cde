-- Functions shared by ingestion and features. They hold no state: a connection is given those that it names.

-- Accounts that act for a program: GitHub's own mark, the [bot] suffix, and well-known service accounts.
CREATE OR REPLACE TEMP MACRO is_bot(login, account_type) AS
    coalesce(account_type = 'Bot', false)
    OR coalesce(
        lower(login) LIKE '%[bot]'
        OR lower(login) LIKE '%-bot'
        OR starts_with(login, 'app/') -- as GitHub's command line calls an app
        OR regexp_matches(login, '^(project|group)_\d+_bot(_|$)') -- as GitLab calls whom a token acts for
        OR lower(login) IN (
            'dependabot', 'dependabot-preview', 'renovate', 'greenkeeper', 'greenkeeperio-bot', 'pyup-bot',
            'snyk-bot', 'codecov', 'codecov-io', 'codecov-commenter', 'coveralls', 'travisbot', 'houndci',
            'homu', 'bors', 'googlebot', 'gitter-badger', 'waffle-with', 'imgbot', 'allcontributors',
            'sonarcloud', 'netlify', 'vercel', 'stale', 'probot', 'cla-assistant', 'claassistant', 'k8s-ci-robot',
            'asfbot', 'asfgit', 'brewtestbot', 'copybara-service', 'drahtbot', 'elasticmachine', 'gopherbot',
            'hadoop-yetus', 'istio-testing', 'kibanamachine', 'llvmbot', 'mention-bot', 'msftbot', 'mergify',
            'openshift-ci-robot', 'openshift-merge-robot', 'pytorchbot', 'pytorchmergebot', 'rust-highfive',
            'rust-log-analyzer', 'rustbot', 'sizebot', 'swift-ci', 'tensorflow-copybara', 'tensorflow-jenkins',
            'webkit-commit-queue', 'github-actions', 'pre-commit-ci'
        ),
        false
    );

-- GitHub shows a deleted account as "ghost".
CREATE OR REPLACE TEMP MACRO login_or_ghost(login) AS coalesce(nullif(trim(login), ''), 'ghost');

-- An id holds its forge: qc_assets/forges.py has the same rules. 0 is nobody's id, anywhere; what a number cannot hold
-- is NULL.
CREATE OR REPLACE TEMP MACRO forge_number(id) AS id::BIGINT >> 40;
CREATE OR REPLACE TEMP MACRO forge_id(number, id) AS CASE
    WHEN id = 0 OR id::BIGINT >> 40 = number THEN id::BIGINT
    WHEN id::BIGINT >> 40 = 0 THEN number * 1099511627776::BIGINT + id
END;
CREATE OR REPLACE TEMP MACRO own_id(id) AS
    CASE WHEN id::BIGINT >> 40 = -1 THEN id ELSE id - (id::BIGINT >> 40) * 1099511627776::BIGINT END;

-- What the sources say of themselves (qc_assets/source_traits.py), by the `source` of a row. A row is made up if its
-- source is, or its repository's forge. A source that nobody knows has not shown that it is complete.
CREATE OR REPLACE TEMP MACRO is_synthetic(source) AS list_contains(getvariable('synthetic_sources'), source),
(source, repo_id) AS list_contains(getvariable('synthetic_sources'), source) OR coalesce(repo_id < 0, false);
CREATE OR REPLACE TEMP MACRO is_complete(source) AS list_contains(getvariable('complete_sources'), source);
CREATE OR REPLACE TEMP MACRO shows_states(source) AS list_contains(getvariable('sources_of_states'), source);
CREATE OR REPLACE TEMP MACRO is_snapshot(source) AS list_contains(getvariable('snapshot_sources'), source);
CREATE OR REPLACE TEMP MACRO priority_of(source) AS coalesce(getvariable('source_priorities')[source], 0);
CREATE OR REPLACE TEMP MACRO last_whole_day(source) AS
    coalesce(getvariable('last_whole_days')[source], DATE 'infinity');

-- What a reading so soon after the opening shows is of the opening; sources/github/opening.py has the same limit.
CREATE OR REPLACE TEMP MACRO is_early(observed_at, created_at) AS
    coalesce(observed_at <= created_at + INTERVAL 10 MINUTE, false);
-- The surer, the higher. A source of events that does not say where sizes come from has seen the opening; a reading
-- that does not is of a version that took no notice of force pushes.
CREATE OR REPLACE TEMP MACRO sureness_of_sizes(sizes_from, source) AS coalesce(
    list_position(['authored_dates', 'force_push', 'commits', 'opening'], sizes_from),
    CASE WHEN shows_states(source) THEN 0 ELSE 4 END
);

-- A time as naive UTC; NULL if it is none. TRY_CAST to TIMESTAMP would leave an offset out without a word, and to
-- TIMESTAMPTZ is five times as slow.
CREATE OR REPLACE TEMP MACRO instant(text) AS CASE
    WHEN ends_with(text, 'Z') THEN TRY_CAST(text AS TIMESTAMP)
    ELSE TRY_CAST(text AS TIMESTAMPTZ) AT TIME ZONE 'UTC'
END;

-- A row of counts may be missing a field; a label may be missing a name.
CREATE OR REPLACE TEMP MACRO nonempty(text) AS nullif(text, '');

-- Columns that follow from others of their row: serving computes them by these, too, see features/contract.py.
CREATE OR REPLACE TEMP MACRO log_size(lines) AS ln(1 + lines);
CREATE OR REPLACE TEMP MACRO is_weekend(weekday) AS weekday >= 5;
-- A share of a few says little: it is drawn to what is usual with the weight of four.
CREATE OR REPLACE TEMP MACRO shrunk(hits, total, usual) AS (hits + 4 * usual) / (total + 4);

-- How often a piece of text occurs; NULL text has none.
CREATE OR REPLACE TEMP MACRO occurrences(text, piece) AS
    CASE WHEN contains(text, piece) THEN (strlen(text) - strlen(replace(text, piece, ''))) // strlen(piece) ELSE 0 END;
CREATE OR REPLACE TEMP MACRO checklist_items(text) AS
    occurrences(text, '- [ ] ') + occurrences(text, '- [x] ') + occurrences(text, '- [X] ');

-- A conventional-commit prefix such as "fix(parser)!:"; NULL if there is none.
CREATE OR REPLACE TEMP MACRO commit_prefix(title) AS
    nullif(lower(regexp_extract(title, '^\s*([A-Za-z]+)(\([^)]*\))?!?:\s', 1)), '');

-- What a label says about the kind of work, by the words that projects commonly use; NULL for other labels.
CREATE OR REPLACE TEMP MACRO label_kind(label) AS CASE
    WHEN regexp_matches(lower(label), '\b(bug|defect|regression|crash|fix)\b') THEN 'bug'
    WHEN regexp_matches(lower(label), '\b(feature|enhancement|improvement|feat)\b') THEN 'feature'
    WHEN regexp_matches(lower(label), '\b(docs?|documentation)\b') THEN 'docs'
    WHEN regexp_matches(lower(label), '\b(refactor(ing)?|clean-?up|tech(nical)?[ -]debt)\b') THEN 'refactor'
END;

-- Seniority of an author in a repository; qc_assets/fairness/seniority.py has the same rule. A history that began
-- before the warehouse's is missing, so the platform's word about the author, and rights used, are believed as well.
CREATE OR REPLACE TEMP MACRO seniority(
    merged, days, association, reviews_given, merges_given, least_merged, least_days
) AS CASE
    WHEN merged IS NULL THEN 'unknown'
    WHEN merged >= least_merged[3] AND days >= least_days[3] THEN 'senior'
    WHEN
        (merged >= least_merged[2] AND days >= least_days[2])
        OR coalesce(association IN ('OWNER', 'MEMBER', 'COLLABORATOR'), false)
        OR coalesce(merges_given > 0, false)
        THEN 'mid'
    WHEN
        (merged >= least_merged[1] AND days >= least_days[1])
        OR coalesce(association = 'CONTRIBUTOR', false)
        OR coalesce(reviews_given > 0, false)
        THEN 'junior'
    ELSE 'newcomer'
END;

-- Rights in a repository, shown by their use: verdicts on other people's pull requests, and merges of them. Tables are
-- parameters because the macro exists before they do.
CREATE OR REPLACE TEMP MACRO rights_used(review_table, pull_request_table) AS TABLE
SELECT reviews.author_id, reviews.repo_id, reviews.submitted_at AS t, 1 AS reviews, 0 AS merges
FROM query_table(review_table) AS reviews
INNER JOIN query_table(pull_request_table) AS prs ON reviews.repo_id = prs.repo_id AND reviews.number = prs.number
WHERE reviews.submitted_state IN ('APPROVED', 'CHANGES_REQUESTED') AND reviews.author_id IS NOT NULL
    AND reviews.author_id IS DISTINCT FROM prs.author_id
UNION ALL
SELECT prs.merged_by_id, prs.repo_id, prs.merged_at, 0, 1
FROM query_table(pull_request_table) AS prs
WHERE prs.merged_by_id IS NOT NULL AND prs.merged_at IS NOT NULL
    AND prs.merged_by_id IS DISTINCT FROM prs.author_id;
-- Accounts of type User that are programs all the same (warehouse/ops/machine_accounts.sql), beside what is_bot tells.
-- What an account is does not depend on the instant. The table is a parameter because the macro exists before it does.
CREATE OR REPLACE TEMP MACRO is_machine(machine_table, told, account) AS
    coalesce(told, false) OR coalesce(account IN (SELECT account_id FROM query_table(machine_table)), false);

-- A title that a merge bot gives to what it has landed.
CREATE OR REPLACE TEMP MACRO says_landed(title) AS
    coalesce(regexp_matches(title, '^\s*\[(merged|landed)\b[^\]]*\]', 'i'), false);

-- Pull requests that landed, and what says so. Where squash bots and merge queues work, the forge shows them as closed.
-- Each evidence was there at the closing. What an author writes of their own work is none: a title counts unless the
-- author closed it, a comment if somebody with rights wrote it.
CREATE OR REPLACE TEMP MACRO landings(pr_table, comment_table, label_table) AS TABLE
WITH closed AS (
    SELECT repo_id, number, author_id, closed_by_id, closed_title, closed_with, closed_at, merged_at
    FROM query_table(pr_table)
    WHERE created_at IS NOT NULL AND closed_at IS NOT NULL
),
evidence AS (
    SELECT repo_id, number, 1 AS strength, 'merged' AS evidence FROM closed WHERE merged_at IS NOT NULL
    UNION ALL
    SELECT repo_id, number, 2, 'closing_commit' FROM closed WHERE closed_with = 'commit'
    UNION ALL
    SELECT repo_id, number, 3, 'title'
    FROM closed
    WHERE says_landed(closed_title) AND closed_by_id IS DISTINCT FROM author_id
    UNION ALL
    SELECT closed.repo_id, closed.number, 4, 'comment'
    FROM closed
    INNER JOIN query_table(comment_table) AS comments
        ON closed.repo_id = comments.repo_id AND closed.number = comments.number
    WHERE comments.created_at BETWEEN closed.closed_at - INTERVAL 1 HOUR AND closed.closed_at
        AND (comments.author_association IN ('OWNER', 'MEMBER', 'COLLABORATOR') OR comments.author_is_bot)
        AND regexp_matches(
            comments.body, '^\W*(landed|merged|committed)\s+(in|as|at|to|into|on|via)\b.{0,120}\b[0-9a-f]{7,40}\b', 'i'
        )
    UNION ALL
    SELECT closed.repo_id, closed.number, 5, 'label'
    FROM closed
    INNER JOIN query_table(label_table) AS labels
        ON closed.repo_id = labels.repo_id AND closed.number = labels.number
    WHERE labels.action = 'labeled' AND labels.created_at <= closed.closed_at
        AND lower(labels.label) IN ('merged', 'landed')
)
SELECT
    closed.repo_id, closed.number, closed.author_id, coalesce(closed.merged_at, closed.closed_at) AS landed_at,
    arg_min(evidence.evidence, evidence.strength) AS evidence
FROM closed
INNER JOIN evidence ON closed.repo_id = evidence.repo_id AND closed.number = evidence.number
GROUP BY ALL;

-- How closed issues ended. Only what is completed is resolved; what a program closed without a commit or a pull
-- request, or what was closed while it was marked as stale, was given up. What a webhook told of the very same closing
-- (warehouse/ml/closings.sql) fills in what the source does not say.
CREATE OR REPLACE TEMP MACRO endings(issue_table, label_table, machine_table, told_table) AS TABLE
WITH closed AS (
    SELECT
        issues.repo_id, issues.number, issues.closed_at, issues.closed_with,
        coalesce(issues.state_reason, told.state_reason) AS state_reason,
        is_machine(
            machine_table,
            coalesce(issues.closed_by_is_bot, told.closed_by_is_bot), coalesce(issues.closed_by_id, told.closed_by_id)
        ) AS is_closed_by_machine
    FROM query_table(issue_table) AS issues
    LEFT JOIN query_table(told_table) AS told
        ON issues.repo_id = told.repo_id AND issues.number = told.number AND issues.closed_at = told.closed_at
    WHERE issues.created_at IS NOT NULL AND issues.closed_at IS NOT NULL
),
marks AS (
    SELECT
        repo_id, number,
        bool_or(regexp_matches(label, '\b(stale|rotten|no-(issue-)?activity|inactive|abandoned)\b')) AS stale,
        bool_or(regexp_matches(label, '\bduplicate\b')) AS duplicate,
        bool_or(regexp_matches(label, '\b(wont-?fix|won.t fix|invalid|not planned|works-?for-?me)\b')) AS not_planned
    FROM (
        SELECT events.repo_id, events.number, lower(events.label) AS label
        FROM query_table(label_table) AS events
        INNER JOIN closed ON events.repo_id = closed.repo_id AND events.number = closed.number
        WHERE events.created_at <= closed.closed_at
        GROUP BY events.repo_id, events.number, lower(events.label)
        HAVING arg_max(events.action, {'t': events.created_at, 'a': events.action = 'labeled'}) = 'labeled'
    )
    GROUP BY repo_id, number
)
SELECT
    closed.repo_id,
    closed.number,
    closed.closed_at AS ended_at,
    CASE
        WHEN coalesce(closed.closed_with IN ('commit', 'pull_request'), false) THEN 'completed'
        WHEN closed.state_reason = 'duplicate' OR coalesce(marks.duplicate, false) THEN 'duplicate'
        WHEN closed.is_closed_by_machine OR coalesce(marks.stale, false) THEN 'stale'
        WHEN closed.state_reason = 'not_planned' OR coalesce(marks.not_planned, false) THEN 'not_planned'
        ELSE 'completed'
    END AS ending
FROM closed
LEFT JOIN marks ON closed.repo_id = marks.repo_id AND closed.number = marks.number;

-- Labels that pull requests or issues had when they were opened; what comes with the opening counts. Tables are
-- parameters because the macro exists before they do.
CREATE OR REPLACE TEMP MACRO labels_at_opening(event_table, raw_table) AS TABLE
SELECT events.repo_id, events.number, events.label
FROM query_table(event_table) AS events
INNER JOIN query_table(raw_table) AS items ON events.repo_id = items.repo_id AND events.number = items.number
WHERE events.created_at <= items.created_at
GROUP BY events.repo_id, events.number, events.label
HAVING arg_max(events.action, {'t': events.created_at, 'a': events.action = 'labeled'}) = 'labeled';

-- Title and description at the opening: as the webhook delivered them then, else as the sources tell them. Tables are
-- parameters because the macro exists before they do.
CREATE OR REPLACE TEMP MACRO opened_texts(raw_table, delivery_table) AS TABLE
SELECT
    items.repo_id,
    items.number,
    items.source,
    items.author_login,
    coalesce(delivered.facts ->> 'title', items.opened_title) AS opened_title,
    coalesce(delivered.facts ->> 'body', items.opened_body) AS opened_body
FROM query_table(raw_table) AS items
LEFT JOIN (
    SELECT repo_id, number, arg_min(facts::JSON, received_at) AS facts
    FROM query_table(delivery_table)
    WHERE event = 'pull_request' AND action = 'opened'
    GROUP BY repo_id, number
) AS delivered ON items.repo_id = delivered.repo_id AND items.number = delivered.number;

-- A text without what it quotes: fenced and inline code, and lines that begin with >. Who writes about an agent's
-- footer is no agent.
CREATE OR REPLACE TEMP MACRO own_words(text) AS
    regexp_replace(
        regexp_replace(text, '(?s)```.*?(```|\z)|`[^`\n]*`', '`', 'g'), '(?m)^[ \t]*>.*$', '', 'g'
    );

-- Who made pull requests, as of their opening, and what says so: qc_assets/origin_rules.py has the parameters `rules`
-- and `marks`. Only what has matched a mark is looked at rule by rule, which is one of few texts: a pattern that is no
-- constant takes DuckDB a hundred times as long. Of evidence of several kinds the first that says anything decides:
-- account, app, branch, coauthor, body. An assistant without a person is an agent. `hand` is what histories are kept
-- apart by: who did the work under an account.
CREATE OR REPLACE TEMP MACRO origins(raw_table, delivery_table, machine_table, rules, marks) AS TABLE
WITH deliveries AS (
    SELECT repo_id, number, arg_min(facts::JSON, received_at) AS facts
    FROM query_table(delivery_table)
    WHERE event = 'pull_request' AND action = 'opened'
    GROUP BY repo_id, number
),
items AS (
    SELECT
        raw.repo_id, raw.number, raw.author_id, raw.author_login, raw.created_at, raw.told_origin,
        is_machine(machine_table, raw.author_is_bot, raw.author_id) AS is_program,
        coalesce(delivered.facts ->> 'head_ref', raw.head_ref) AS head_ref,
        raw.opened_via_app,
        raw.opened_coauthors,
        (delivered.facts -> 'assignees')::VARCHAR[] AS assignees,
        -- What a text says is read where the text is: it is too long to carry along.
        coalesce(delivered.facts ->> 'body', raw.opened_body) IS NOT NULL AS has_body,
        CASE
            WHEN regexp_matches(coalesce(delivered.facts ->> 'body', raw.opened_body), marks['body'])
                THEN regexp_extract_all(own_words(coalesce(delivered.facts ->> 'body', raw.opened_body)), marks['body'])
        END AS body_marks,
        CASE
            WHEN contains(coalesce(delivered.facts ->> 'body', raw.opened_body), ' @')
                THEN regexp_extract(
                    coalesce(delivered.facts ->> 'body', raw.opened_body),
                    '(?mi)(?:^requested by:? |started by )@([a-z0-9][a-z0-9-]{0,38})\b', 1
                )
        END AS body_sender
    FROM query_table(raw_table) AS raw
    LEFT JOIN deliveries AS delivered ON raw.repo_id = delivered.repo_id AND raw.number = delivered.number
    WHERE raw.created_at IS NOT NULL
),
marked AS (
    SELECT repo_id, number, 'account' AS seen_in, [author_login] AS texts
    FROM items
    WHERE regexp_matches(author_login, marks['account'])
    UNION ALL
    SELECT repo_id, number, 'app', [opened_via_app]
    FROM items
    WHERE regexp_matches(opened_via_app, marks['app'])
    UNION ALL
    SELECT repo_id, number, 'branch', [regexp_extract(head_ref, marks['branch'])]
    FROM items
    WHERE regexp_matches(head_ref, marks['branch'])
    UNION ALL
    SELECT
        repo_id, number, 'coauthor',
        regexp_extract_all(array_to_string(opened_coauthors, chr(10)), marks['coauthor'])
    FROM items
    WHERE regexp_matches(array_to_string(opened_coauthors, chr(10)), marks['coauthor'])
    UNION ALL
    SELECT repo_id, number, 'body', body_marks
    FROM items
    WHERE body_marks IS NOT NULL
),
shown AS (SELECT DISTINCT repo_id, number, seen_in, unnest(texts) AS mark FROM marked),
ruled AS (
    SELECT said.seen_in, said.mark, rule
    FROM (SELECT DISTINCT seen_in, mark FROM shown) AS said
    INNER JOIN (SELECT unnest(rules) AS rule) AS each
        ON said.seen_in = rule.matched_against AND regexp_matches(said.mark, rule.expression)
),
decided AS (
    SELECT shown.repo_id, shown.number, arg_min(ruled.rule, ruled.rule.place) AS rule
    FROM shown
    INNER JOIN ruled ON shown.seen_in = ruled.seen_in AND shown.mark = ruled.mark
    INNER JOIN items ON shown.repo_id = items.repo_id AND shown.number = items.number
    WHERE items.created_at >= coalesce(ruled.rule.since::TIMESTAMP, items.created_at)
    GROUP BY shown.repo_id, shown.number
)
SELECT
    items.repo_id,
    items.number,
    CASE
        WHEN items.told_origin IS NOT NULL THEN items.told_origin
        WHEN decided.rule.origin = 'assisted' AND items.is_program THEN 'agent'
        WHEN decided.rule IS NOT NULL THEN decided.rule.origin
        WHEN items.is_program THEN 'automation'
        WHEN items.author_id IS NULL OR (NOT items.has_body AND items.head_ref IS NULL) THEN 'unknown'
        ELSE 'person'
    END AS origin,
    CASE WHEN origin IN ('agent', 'assisted') THEN decided.rule.agent END AS origin_agent,
    CASE
        WHEN items.told_origin IS NOT NULL THEN 'the source says so'
        WHEN decided.rule IS NOT NULL THEN decided.rule.matched_against || ': ' || coalesce(decided.rule.meaning, '')
        WHEN items.is_program THEN 'account: a program'
        WHEN origin = 'person' THEN 'no mark in ' || concat_ws(
            ', ', 'account', CASE WHEN items.head_ref IS NOT NULL THEN 'branch' END,
            CASE WHEN items.opened_coauthors IS NOT NULL THEN 'commits' END,
            CASE WHEN items.has_body THEN 'text' END
        )
    END AS origin_evidence,
    (CASE WHEN origin = 'unknown' THEN 'person' ELSE origin END)
        ::ENUM ('person', 'assisted', 'agent', 'automation') AS hand,
    CASE
        WHEN origin NOT IN ('agent', 'assisted') THEN NULL
        WHEN NOT items.is_program AND decided.rule.matched_against IS DISTINCT FROM 'account' THEN items.author_login
        ELSE coalesce(
            -- An agent assigns who asked for it along with itself.
            list_filter(items.assignees, lambda login: login <> items.author_login)[1],
            nullif(items.body_sender, '')
        )
    END AS origin_sender
FROM items
LEFT JOIN decided ON items.repo_id = decided.repo_id AND items.number = decided.number;

-- Repositories with a hundred items or more, and how many of them are open: where none is, what is open may have been
-- left out of the history, and durations are those of survivors.
CREATE OR REPLACE TEMP MACRO open_by_repository(feature_table) AS TABLE
SELECT
    coalesce(ops.qualified(items.repo_id, any_value(repositories.name)), items.repo_id::VARCHAR) AS repo,
    count(*) AS items,
    count(*) FILTER (items.closed_at IS NULL) AS still_open
FROM query_table(feature_table) AS items
LEFT JOIN raw.repositories AS repositories ON items.repo_id = repositories.repo_id
GROUP BY items.repo_id
HAVING count(*) >= 100
ORDER BY items DESC, repo;

-- What bias reports compare pull requests or issues by; labels are those at the opening.
CREATE OR REPLACE TEMP MACRO groups_of(feature_table, raw_table) AS TABLE
WITH items AS (FROM query_table(feature_table)),
labels AS (
    SELECT repo_id, number, list(label ORDER BY label) AS labels
    FROM labels_at_opening('raw.label_events', raw_table)
    GROUP BY repo_id, number
)
SELECT
    items.repo_id,
    items.number,
    coalesce(ops.qualified(items.repo_id, repositories.name), items.repo_id::VARCHAR) AS repo,
    items.author_seniority AS seniority,
    items.author_is_newcomer AS is_newcomer,
    repositories.language,
    labels.labels,
    texts.opened_title AS title
FROM items
INNER JOIN query_table(raw_table) AS texts ON items.repo_id = texts.repo_id AND items.number = texts.number
LEFT JOIN raw.repositories AS repositories ON items.repo_id = repositories.repo_id
LEFT JOIN labels ON items.repo_id = labels.repo_id AND items.number = labels.number;

-- d1 = beta × p0 × V, rounded to two decimals, half to even; qc_assets/serving/payouts.py has the same rule. In whole
-- numbers: a product of decimals would be too wide, and one of doubles would round other cents.
CREATE OR REPLACE TEMP MACRO payout(beta, p0, value) AS (
    WITH exact AS (
        SELECT
            (beta::DECIMAL(7, 6) * 1000000)::HUGEINT
            * (p0::DECIMAL(7, 6) * 1000000)::HUGEINT
            * (value::DECIMAL(20, 6) * 1000000)::HUGEINT AS units
    ),
    parts AS (SELECT units // 10000000000000000 AS cents, units % 10000000000000000 AS rest FROM exact),
    rounded AS (
        SELECT
            cents + (rest > 5000000000000000 OR (rest = 5000000000000000 AND cents % 2 = 1))::INTEGER AS cents
        FROM parts
    )
    SELECT ((cents // 100)::VARCHAR || '.' || lpad((cents % 100)::VARCHAR, 2, '0'))::DECIMAL(24, 2) FROM rounded
);

-- As serving/schemas.py names them.
CREATE OR REPLACE TEMP MACRO bucket_of(p0) AS
    CASE WHEN p0 >= 0.9 THEN 'high' WHEN p0 >= 0.7 THEN 'medium' WHEN p0 >= 0.5 THEN 'low' ELSE 'very_low' END;

-- What people said of each item of a model, as far as it counts (`set_aside`): a key's newest word counts, and of
-- several keys that of most, then that of the first. `confirmed`: two keys say so; `disputed`: two keys say different
-- things. When something came from another key is told by our clock, not by the caller. The table is a parameter
-- because the macro exists before it does.
CREATE OR REPLACE TEMP MACRO newest_feedback(feedback_table, about, what) AS TABLE
WITH told AS (
    SELECT
        *,
        comment_id || ':' || CASE WHEN comment_id = 0 THEN repo_id || ':' || number ELSE '' END AS item
    FROM query_table(feedback_table)
    WHERE model = about AND kind = what AND set_aside IS NULL
    QUALIFY row_number() OVER (
        PARTITION BY item, coalesce(received_key, '')
        ORDER BY given_at DESC, coalesce(arrival, 0) DESC, feedback_id DESC
    ) = 1
),
counted AS (
    SELECT
        *,
        count(DISTINCT received_key) OVER (PARTITION BY item, label) AS keys,
        min(coalesce(received_at, given_at)) OVER (PARTITION BY item, label) AS first_received_at,
        count(DISTINCT label) OVER (PARTITION BY item) > 1 AS disputed
    FROM told
)
SELECT
    repo_id, number, comment_id, label, given_by, received_key, given_at, arrival, keys >= 2 AS confirmed, disputed
FROM counted
QUALIFY row_number() OVER (
    PARTITION BY item ORDER BY keys DESC, first_received_at, given_at DESC, feedback_id DESC
) = 1;

-- Whose word a label is: the forge's; feedback, where the forge says nothing, or two keys say that it is wrong; or
-- contested: the forge's, against feedback that nobody confirmed, which is kept apart.
CREATE OR REPLACE TEMP MACRO label_by(githubs, corrected, confirmed, is_silent) AS
    CASE
        WHEN corrected IS NULL OR (NOT is_silent AND corrected IS NOT DISTINCT FROM githubs)
            THEN CASE WHEN NOT is_silent THEN 'forge' END
        WHEN is_silent OR confirmed THEN 'feedback'
        ELSE 'contested'
    END;

-- What a label is about: the comment, or where that is nobody's, the text and its file.
CREATE OR REPLACE TEMP MACRO label_subject(comment_id, body, path) AS
    coalesce('#' || comment_id, body || chr(31) || coalesce(path, ''));
-- Labels of files, with what counts: what a rater said last of a comment, and of several raters their majority.
-- status: used; outvoted by the majority; disputed, as there is none; superseded by what came later. Of a comment that
-- is in files only, all rows have the same `item_id`.
CREATE OR REPLACE TEMP MACRO judged_labels(label_table) AS TABLE
WITH ranked AS (
    SELECT
        *,
        label_subject(comment_id, body, path) AS about,
        {'arrival': coalesce(arrival, 0), 'imported_at': CASE WHEN arrival IS NULL THEN imported_at END} AS came
    FROM query_table(label_table)
),
opinions AS (
    SELECT
        *,
        came IS DISTINCT FROM max(came) OVER (PARTITION BY about, rater) AS is_superseded,
        arg_min(label_id, came) OVER (PARTITION BY about) AS item_id
    FROM ranked
),
votes AS (
    SELECT
        *,
        count(*) FILTER (NOT is_superseded) OVER (PARTITION BY about, category) AS votes_for,
        count(*) FILTER (NOT is_superseded) OVER (PARTITION BY about) AS votes_in_all
    FROM opinions
)
SELECT
    * EXCLUDE (came, is_superseded),
    CASE
        WHEN is_superseded THEN 'superseded'
        WHEN 2 * votes_for > votes_in_all THEN 'used'
        WHEN 2 * max(votes_for) FILTER (NOT is_superseded) OVER (PARTITION BY about) > votes_in_all THEN 'outvoted'
        ELSE 'disputed'
    END AS status
FROM votes;
