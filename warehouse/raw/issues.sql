CREATE TABLE IF NOT EXISTS raw.issues (
    repo_id BIGINT, -- forge id
    number BIGINT CHECK (number > 0),
    issue_id BIGINT, -- forge id
    author_id BIGINT, -- forge id
    author_login VARCHAR,
    author_is_bot BOOLEAN,
    author_association VARCHAR,
    title VARCHAR,
    body VARCHAR,
    state VARCHAR CHECK (state IN ('open', 'closed')),
    comments BIGINT CHECK (comments >= 0),
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    closed_at TIMESTAMP,
    state_reason VARCHAR CHECK (state_reason IN ('completed', 'not_planned', 'duplicate', 'reopened')),
    closed_by_id BIGINT, -- forge id
    closed_by_login VARCHAR,
    closed_by_is_bot BOOLEAN,
    closed_with VARCHAR CHECK (closed_with IN ('commit', 'pull_request', 'project', 'nothing')),
    opened_title VARCHAR,
    opened_body VARCHAR,
    opened_author_association VARCHAR,
    labels VARCHAR[],
    assignees VARCHAR[],
    unread_parts VARCHAR[],
    source VARCHAR NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    partition_date DATE NOT NULL,
    PRIMARY KEY (repo_id, number)
);
COMMENT ON TABLE raw.issues IS 'One row an issue (never a pull request): column by column the newest value observed';
COMMENT ON COLUMN raw.issues.repo_id IS 'Repository (raw.repositories)';
COMMENT ON COLUMN raw.issues.number IS 'Number within the repository, shared with pull requests';
COMMENT ON COLUMN raw.issues.issue_id IS 'GitHub database id of the issue';
COMMENT ON COLUMN raw.issues.author_id IS 'Account that opened it; NULL for a deleted account';
COMMENT ON COLUMN raw.issues.author_login IS 'Login of the author; ghost for a deleted account';
COMMENT ON COLUMN raw.issues.author_is_bot IS 'Whether a program opened it';
COMMENT ON COLUMN raw.issues.author_association IS 'The author''s standing when last observed';
COMMENT ON COLUMN raw.issues.title IS 'Title when last observed';
COMMENT ON COLUMN raw.issues.body IS 'Description (Markdown) when last observed';
COMMENT ON COLUMN raw.issues.state IS 'open or closed';
COMMENT ON COLUMN raw.issues.comments IS 'Number of comments when last observed';
COMMENT ON COLUMN raw.issues.created_at IS 'When it was opened (UTC)';
COMMENT ON COLUMN raw.issues.updated_at IS 'Last activity that the source reported (UTC)';
COMMENT ON COLUMN raw.issues.closed_at IS 'When it was last closed (UTC); NULL while open';
COMMENT ON COLUMN raw.issues.state_reason IS
    'Why it has the state that it has, as the forge says: completed, not_planned, duplicate or reopened';
COMMENT ON COLUMN raw.issues.closed_by_id IS 'Account that last closed it; NULL if that is not known';
COMMENT ON COLUMN raw.issues.closed_by_login IS 'Login of that account';
COMMENT ON COLUMN raw.issues.closed_by_is_bot IS 'Whether a program closed it';
COMMENT ON COLUMN raw.issues.closed_with IS
    'What made the last closing happen: a commit or a pull request that names it, a project, or nothing but the person';
COMMENT ON COLUMN raw.issues.opened_title IS 'Title at the opening instant; NULL if that was not observed';
COMMENT ON COLUMN raw.issues.opened_body IS 'Description at the opening instant; empty string if there was none';
COMMENT ON COLUMN raw.issues.opened_author_association IS 'The author''s standing at the opening instant';
COMMENT ON COLUMN raw.issues.labels IS 'Labels when last observed';
COMMENT ON COLUMN raw.issues.assignees IS 'Logins of the assignees when last observed';
COMMENT ON COLUMN raw.issues.unread_parts IS
    'What of the item could not be read when last observed (ops.dead_letters says why)';
COMMENT ON COLUMN raw.issues.source IS 'Source of the newest observation: demo, gharchive or github';
COMMENT ON COLUMN raw.issues.observed_at IS 'When the newest observation was made (UTC)';
COMMENT ON COLUMN raw.issues.partition_date IS 'Latest day of activity (UTC) on which it was observed';
