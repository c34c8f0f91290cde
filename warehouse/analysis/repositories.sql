-- name: view
CREATE OR REPLACE VIEW analysis.repositories AS
SELECT
    repo_id,
    coalesce(ops.qualified(repo_id, name), repo_id::VARCHAR) AS repository,
    -- A name of a shape that no forge gives is text, and leads nowhere.
    CASE
        WHEN
            repo_id >= 0
            AND regexp_full_match(ops.forge_of(repo_id), '[\w.-]+\.[a-z]+(:\d+)?')
            AND regexp_full_match(name, '[\w.-]+/[\w.-]+')
            THEN concat('https://', ops.forge_of(repo_id), '/', name)
    END AS link,
    language,
    licence,
    stars,
    is_fork::TINYINT AS is_fork,
    is_archived::TINYINT AS is_archived,
    (repo_id < 0)::TINYINT AS is_made_up,
    source
FROM raw.repositories;
COMMENT ON VIEW analysis.repositories IS 'One row a repository, with its name as people write it';
COMMENT ON COLUMN analysis.repositories.repo_id IS 'Repository, as other tables have it';
COMMENT ON COLUMN analysis.repositories.repository IS
    'owner/name, with the host of a forge that is not github.com; the id where the name is not known';
COMMENT ON COLUMN analysis.repositories.link IS 'Where to read it; NULL for what is made up or has no host';
COMMENT ON COLUMN analysis.repositories.language IS 'Main language by GitHub''s count';
COMMENT ON COLUMN analysis.repositories.licence IS 'SPDX name of its licence; NULL: none, or the source does not say';
COMMENT ON COLUMN analysis.repositories.stars IS 'Stargazers when last observed';
COMMENT ON COLUMN analysis.repositories.is_fork IS '1 for a fork of another repository';
COMMENT ON COLUMN analysis.repositories.is_archived IS '1 if nobody may change it any more';
COMMENT ON COLUMN analysis.repositories.is_made_up IS '1 if its forge makes things up, as the demo does';
COMMENT ON COLUMN analysis.repositories.source IS 'Source of the newest observation';
