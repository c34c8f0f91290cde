CREATE TABLE IF NOT EXISTS raw.repositories (
    repo_id BIGINT PRIMARY KEY, -- forge id
    name VARCHAR,
    language VARCHAR,
    licence VARCHAR,
    stars BIGINT CHECK (stars >= 0),
    is_fork BOOLEAN,
    is_archived BOOLEAN,
    created_at TIMESTAMP,
    is_selected BOOLEAN,
    selection_reason VARCHAR,
    watched_from TIMESTAMP,
    watched_until TIMESTAMP,
    source VARCHAR NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    partition_date DATE NOT NULL
);
COMMENT ON TABLE raw.repositories IS 'One row a repository, as last observed; a rename keeps the id';
COMMENT ON COLUMN raw.repositories.repo_id IS 
    'Id with the number of its forge (ops.forge_of, own_id): github.com''s own as it is; negative: synthetic';
COMMENT ON COLUMN raw.repositories.name IS 'owner/name as last seen';
COMMENT ON COLUMN raw.repositories.language IS 'Main language by GitHub''s count';
COMMENT ON COLUMN raw.repositories.licence IS
    'SPDX name of its licence as GitHub recognises it; NOASSERTION: one that it does not; NULL: none, or the '
    'source does not say';
COMMENT ON COLUMN raw.repositories.stars IS 'Stargazers when last observed';
COMMENT ON COLUMN raw.repositories.is_fork IS 'Whether it is a fork of another repository';
COMMENT ON COLUMN raw.repositories.is_archived IS 'Whether it has been archived';
COMMENT ON COLUMN raw.repositories.created_at IS 'When it was created (UTC)';
COMMENT ON COLUMN raw.repositories.is_selected IS
    'Whether discovery last chose it for reading; NULL if never looked at';
COMMENT ON COLUMN raw.repositories.selection_reason IS 'Why discovery chose it, or why not';
COMMENT ON COLUMN raw.repositories.watched_from IS
    'Where its history was extracted elsewhere: from when it is whole (UTC); NULL: from the first day loaded';
COMMENT ON COLUMN raw.repositories.watched_until IS
    'Where its history was extracted elsewhere: up to when it is whole (UTC), at most the extraction';
COMMENT ON COLUMN raw.repositories.source IS 'Source of the newest observation: demo, gharchive or github';
COMMENT ON COLUMN raw.repositories.observed_at IS 'When the newest observation was made (UTC)';
COMMENT ON COLUMN raw.repositories.partition_date IS 'Latest day of activity (UTC) on which it was observed';
