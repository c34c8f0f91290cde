CREATE TABLE IF NOT EXISTS raw.pull_requests (
    repo_id BIGINT, -- forge id
    number BIGINT CHECK (number > 0),
    pr_id BIGINT, -- forge id
    author_id BIGINT, -- forge id
    author_login VARCHAR,
    author_is_bot BOOLEAN,
    author_association VARCHAR,
    title VARCHAR,
    body VARCHAR,
    state VARCHAR CHECK (state IN ('open', 'closed')),
    is_draft BOOLEAN,
    created_at TIMESTAMP,
    updated_at TIMESTAMP,
    closed_at TIMESTAMP,
    merged_at TIMESTAMP,
    merged_by_id BIGINT, -- forge id
    closed_title VARCHAR,
    closed_by_id BIGINT, -- forge id
    closed_by_login VARCHAR,
    closed_by_is_bot BOOLEAN,
    closed_with VARCHAR CHECK (closed_with IN ('commit', 'pull_request', 'project', 'nothing')),
    additions BIGINT CHECK (additions >= 0),
    deletions BIGINT CHECK (deletions >= 0),
    changed_files BIGINT CHECK (changed_files >= 0),
    commits BIGINT CHECK (commits >= 0),
    opened_title VARCHAR,
    opened_body VARCHAR,
    opened_is_draft BOOLEAN,
    opened_author_association VARCHAR,
    opened_additions BIGINT CHECK (opened_additions >= 0),
    opened_deletions BIGINT CHECK (opened_deletions >= 0),
    opened_changed_files BIGINT CHECK (opened_changed_files >= 0),
    opened_commits BIGINT CHECK (opened_commits >= 0),
    head_ref VARCHAR,
    opened_via_app VARCHAR,
    opened_coauthors VARCHAR[],
    told_origin VARCHAR CHECK (told_origin IN ('person', 'assisted', 'agent', 'automation')),
    opened_sizes_from VARCHAR CHECK (opened_sizes_from IN ('opening', 'commits', 'force_push', 'authored_dates')),
    opened_files_from VARCHAR CHECK (opened_files_from IN ('opening', 'commits', 'force_push', 'authored_dates')),
    opened_base_ref VARCHAR,
    is_from_fork BOOLEAN,
    opened_reviewers BIGINT CHECK (opened_reviewers >= 0),
    labels VARCHAR[],
    unread_parts VARCHAR[],
    source VARCHAR NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    partition_date DATE NOT NULL,
    PRIMARY KEY (repo_id, number)
);
COMMENT ON TABLE raw.pull_requests IS
    'One row a pull request: column by column the newest value that any source observed';
COMMENT ON COLUMN raw.pull_requests.repo_id IS 'Repository (raw.repositories)';
COMMENT ON COLUMN raw.pull_requests.number IS 'Number within the repository, shared with issues';
COMMENT ON COLUMN raw.pull_requests.pr_id IS 'GitHub database id of the pull request';
COMMENT ON COLUMN raw.pull_requests.author_id IS 'Account that opened it; NULL for a deleted account';
COMMENT ON COLUMN raw.pull_requests.author_login IS 'Login of the author; ghost for a deleted account';
COMMENT ON COLUMN raw.pull_requests.author_is_bot IS 'Whether a program opened it';
COMMENT ON COLUMN raw.pull_requests.author_association IS 'The author''s standing in the repository when last observed';
COMMENT ON COLUMN raw.pull_requests.title IS 'Title when last observed';
COMMENT ON COLUMN raw.pull_requests.body IS 'Description (Markdown) when last observed';
COMMENT ON COLUMN raw.pull_requests.state IS 'open or closed';
COMMENT ON COLUMN raw.pull_requests.is_draft IS 'Whether it was a draft when last observed';
COMMENT ON COLUMN raw.pull_requests.created_at IS 'When it was opened (UTC)';
COMMENT ON COLUMN raw.pull_requests.updated_at IS 'Last activity that the source reported (UTC)';
COMMENT ON COLUMN raw.pull_requests.closed_at IS 'When it was last closed (UTC); NULL while open';
COMMENT ON COLUMN raw.pull_requests.merged_at IS 'When it was merged (UTC); NULL if never';
COMMENT ON COLUMN raw.pull_requests.merged_by_id IS 'Account that merged it, where the source tells';
COMMENT ON COLUMN raw.pull_requests.closed_title IS 'Title when it was last closed; NULL if that was not observed';
COMMENT ON COLUMN raw.pull_requests.closed_by_id IS 'Account that last closed it; NULL if that is not known';
COMMENT ON COLUMN raw.pull_requests.closed_by_login IS 'Login of that account';
COMMENT ON COLUMN raw.pull_requests.closed_by_is_bot IS 'Whether a program closed it';
COMMENT ON COLUMN raw.pull_requests.closed_with IS
    'What made the last closing happen: a commit or a pull request that names it, a project, or nothing but the person';
COMMENT ON COLUMN raw.pull_requests.additions IS 'Lines added when last observed';
COMMENT ON COLUMN raw.pull_requests.deletions IS 'Lines deleted when last observed';
COMMENT ON COLUMN raw.pull_requests.changed_files IS 'Files changed when last observed';
COMMENT ON COLUMN raw.pull_requests.commits IS 'Commits when last observed';
COMMENT ON COLUMN raw.pull_requests.opened_title IS 'Title at the opening instant; NULL if that was not observed';
COMMENT ON COLUMN raw.pull_requests.opened_body IS 'Description at the opening instant; empty string if there was none';
COMMENT ON COLUMN raw.pull_requests.opened_is_draft IS 'Whether it was opened as a draft';
COMMENT ON COLUMN raw.pull_requests.opened_author_association IS
    'The author''s standing at the opening instant; NULL unless it was read within minutes of it';
COMMENT ON COLUMN raw.pull_requests.opened_additions IS 'Lines added by the commits that existed at the opening';
COMMENT ON COLUMN raw.pull_requests.opened_deletions IS 'Lines deleted by the commits that existed at the opening';
COMMENT ON COLUMN raw.pull_requests.opened_changed_files IS 'Files changed at the opening';
COMMENT ON COLUMN raw.pull_requests.opened_commits IS 'Commits at the opening';
COMMENT ON COLUMN raw.pull_requests.opened_sizes_from IS
    'Where the sizes at the opening come from, the surest that there is: opening (as shown then), commits (never '
    'force-pushed: those committed before), force_push (of the branch that the first force push replaced), '
    'authored_dates (of commits rewritten later: those first written before); NULL if unknown or not told';
COMMENT ON COLUMN raw.pull_requests.head_ref IS
    'Branch that it was opened from; it keeps that name, as renaming a branch closes its pull requests';
COMMENT ON COLUMN raw.pull_requests.opened_via_app IS
    'GitHub App through which it was opened, in the words of its URL, where the source tells';
COMMENT ON COLUMN raw.pull_requests.opened_coauthors IS
    'Who wrote and signed the commits that existed at the opening, beside the author, as git has it: NAME <MAIL>; '
    'NULL if those commits are not known';
COMMENT ON COLUMN raw.pull_requests.told_origin IS
    'Who made it, where the source itself knows; decides over the rules (ops.origin_rules)';
COMMENT ON COLUMN raw.pull_requests.opened_files_from IS
    'Which commits the files at the opening (raw.files) are those of, as opened_sizes_from; NULL if they were not read';
COMMENT ON COLUMN raw.pull_requests.opened_base_ref IS
    'Branch that it was to go into at the opening; a later change of it does not count';
COMMENT ON COLUMN raw.pull_requests.is_from_fork IS 'Whether its branch is in another repository';
COMMENT ON COLUMN raw.pull_requests.opened_reviewers IS
    'How many people and teams were asked for a review within ten seconds of the opening; NULL if that is not told';
COMMENT ON COLUMN raw.pull_requests.labels IS 'Labels when last observed';
COMMENT ON COLUMN raw.pull_requests.unread_parts IS
    'What of the item could not be read when last observed (ops.dead_letters says why)';
COMMENT ON COLUMN raw.pull_requests.source IS 'Source of the newest observation: demo, gharchive or github';
COMMENT ON COLUMN raw.pull_requests.observed_at IS 'When the newest observation was made (UTC)';
COMMENT ON COLUMN raw.pull_requests.partition_date IS 'Latest day of activity (UTC) on which it was observed';
