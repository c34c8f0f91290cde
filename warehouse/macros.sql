-- Functions shared by ingestion and features. They hold no state, so every connection creates them anew.

-- Accounts that act for a program: GitHub's own mark, the [bot] suffix, and well-known service accounts.
CREATE OR REPLACE TEMP MACRO is_bot(login, account_type) AS
    coalesce(account_type = 'Bot', false)
    OR coalesce(
        lower(login) LIKE '%[bot]'
        OR lower(login) LIKE '%-bot'
        OR lower(login) IN (
            'dependabot', 'dependabot-preview', 'renovate', 'greenkeeper', 'greenkeeperio-bot', 'pyup-bot',
            'snyk-bot', 'codecov', 'codecov-io', 'codecov-commenter', 'coveralls', 'travisbot', 'houndci',
            'homu', 'bors', 'googlebot', 'gitter-badger', 'waffle-with', 'imgbot', 'allcontributors',
            'sonarcloud', 'netlify', 'vercel', 'stale', 'probot', 'cla-assistant', 'claassistant', 'k8s-ci-robot'
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
-- before the warehouse's is missing, so what the platform says of the author's standing is believed as well.
CREATE OR REPLACE TEMP MACRO seniority(merged, days, association, least_merged, least_days) AS CASE
    WHEN merged IS NULL THEN 'unknown'
    WHEN merged >= least_merged[3] AND days >= least_days[3] THEN 'senior'
    WHEN
        (merged >= least_merged[2] AND days >= least_days[2])
        OR coalesce(association IN ('OWNER', 'MEMBER', 'COLLABORATOR'), false)
        THEN 'mid'
    WHEN (merged >= least_merged[1] AND days >= least_days[1]) OR coalesce(association = 'CONTRIBUTOR', false)
        THEN 'junior'
    ELSE 'newcomer'
END;

-- Labels that pull requests or issues had when they were opened; what comes with the opening counts. Tables are
-- parameters because the macro exists before they do.
CREATE OR REPLACE TEMP MACRO labels_at_opening(event_table, raw_table) AS TABLE
SELECT events.repo_id, events.number, events.label
FROM query_table(event_table) AS events
INNER JOIN query_table(raw_table) AS items ON events.repo_id = items.repo_id AND events.number = items.number
WHERE events.created_at <= items.created_at
GROUP BY events.repo_id, events.number, events.label
HAVING arg_max(events.action, {'t': events.created_at, 'a': events.action = 'labeled'}) = 'labeled';

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

-- What people said last of each item of a model. The table is a parameter because the macro exists before it does.
CREATE OR REPLACE TEMP MACRO newest_feedback(feedback_table, about, what) AS TABLE
SELECT repo_id, number, comment_id, label, given_by, given_at
FROM query_table(feedback_table)
WHERE model = about AND kind = what
QUALIFY row_number() OVER (
    PARTITION BY
        comment_id, CASE WHEN comment_id = 0 THEN repo_id END, CASE WHEN comment_id = 0 THEN number END
    ORDER BY given_at DESC, feedback_id DESC
) = 1;
