-- name: table
CREATE TABLE IF NOT EXISTS ops.machine_accounts (
    account_id BIGINT PRIMARY KEY, -- forge id
    login VARCHAR NOT NULL,
    evidence VARCHAR NOT NULL CHECK (evidence IN ('setting', 'agent', 'says_so', 'template')),
    texts BIGINT NOT NULL,
    share DOUBLE
);
COMMENT ON TABLE ops.machine_accounts IS
    'Accounts of type User that are programs all the same, and what says so; those that GitHub or their login marks '
    'are not among them';
COMMENT ON COLUMN ops.machine_accounts.account_id IS 'Account (raw.users)';
COMMENT ON COLUMN ops.machine_accounts.login IS 'Its login when it was last seen';
COMMENT ON COLUMN ops.machine_accounts.evidence IS
    'setting: named by QC_MACHINE_ACCOUNTS; agent: a rule of origin names the account (ops.origin_rules); '
    'says_so: four fifths of at least 20 texts call themselves automatic; '
    'template: nine tenths of at least 50 long texts begin alike';
COMMENT ON COLUMN ops.machine_accounts.texts IS 'How many texts that is based on';
COMMENT ON COLUMN ops.machine_accounts.share IS 'Share of those that show it; NULL for a setting';

-- name: rows
-- Conservative: a person who is taken for a program loses their say. Short texts do not count: everybody writes LGTM.
WITH texts AS (
    SELECT author_id, body FROM raw.issue_comments WHERE author_id IS NOT NULL AND NOT coalesce(author_is_bot, false)
    UNION ALL
    SELECT author_id, body FROM raw.review_comments WHERE author_id IS NOT NULL AND NOT coalesce(author_is_bot, false)
    UNION ALL
    SELECT author_id, body FROM raw.reviews WHERE author_id IS NOT NULL AND NOT coalesce(author_is_bot, false)
),
-- Numbers and names differ in a template.
starts AS (
    SELECT
        author_id,
        regexp_matches(
            body,
            '(auto(matically)?[- ]?generated|\b(i am|i.m|this is) an? (automated |friendly )?(ro)?bot\b'
            || '|\bautomated (comment|message|review|reply|report|check)\b'
            || '|\b(posted|generated|created|sent) automatically\b)',
            'i'
        ) AS says_so,
        CASE WHEN length(body) >= 100 THEN left(regexp_replace(body, '@\S+|[0-9]+|`[^`]*`', '#', 'g'), 40) END AS start
    FROM texts
    WHERE length(trim(body)) > 0
),
counted AS (
    SELECT author_id, start, count(*) AS n, count(*) FILTER (says_so) AS n_saying_so
    FROM starts
    GROUP BY author_id, start
),
behaviour AS (
    SELECT
        author_id AS account_id,
        sum(n) AS texts,
        sum(n_saying_so) / sum(n) AS saying_so,
        sum(n) FILTER (start IS NOT NULL) AS long_texts,
        max(n) FILTER (start IS NOT NULL) / sum(n) FILTER (start IS NOT NULL) AS alike
    FROM counted
    GROUP BY author_id
),
people AS (
    SELECT user_id AS account_id, login, lower(login) AS name
    FROM raw.users
    WHERE NOT coalesce(is_bot, false)
),
judged AS (
    SELECT people.account_id, people.login, 'setting' AS evidence, coalesce(behaviour.texts, 0) AS texts, NULL AS share
    FROM people
    LEFT JOIN behaviour ON people.account_id = behaviour.account_id
    WHERE list_contains($machines::VARCHAR[], people.name)
    UNION ALL
    SELECT people.account_id, people.login, 'agent', coalesce(behaviour.texts, 0), NULL
    FROM people
    LEFT JOIN behaviour ON people.account_id = behaviour.account_id
    WHERE regexp_matches(people.login, $agents) AND NOT list_contains($people::VARCHAR[], people.name)
    UNION ALL
    SELECT people.account_id, people.login, 'says_so', behaviour.texts, behaviour.saying_so
    FROM people
    INNER JOIN behaviour ON people.account_id = behaviour.account_id
    WHERE behaviour.texts >= 20 AND behaviour.saying_so >= 0.8
        AND NOT list_contains($people::VARCHAR[], people.name)
    UNION ALL
    SELECT people.account_id, people.login, 'template', behaviour.long_texts, behaviour.alike
    FROM people
    INNER JOIN behaviour ON people.account_id = behaviour.account_id
    WHERE behaviour.long_texts >= 50 AND behaviour.alike >= 0.9
        AND NOT list_contains($people::VARCHAR[], people.name)
)
SELECT account_id, login, evidence, texts::BIGINT AS texts, share
FROM judged
QUALIFY row_number() OVER (
    PARTITION BY account_id ORDER BY evidence = 'setting' DESC, evidence = 'agent' DESC, evidence
) = 1;
