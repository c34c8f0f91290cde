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

-- A row of counts may be missing a field; a label may be missing a name.
CREATE OR REPLACE TEMP MACRO nonempty(text) AS nullif(text, '');
