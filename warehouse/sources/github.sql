-- name: due_for_revisit
-- Pull requests that may have changed without their last update telling, the longest unread first.
SELECT repositories.name, own_id(prs.repo_id) AS own_id, prs.number
FROM raw.pull_requests AS prs
INNER JOIN raw.repositories USING (repo_id)
INNER JOIN (
    SELECT repo_id, number, max(observed_at) AS read_at
    FROM observed.pull_requests
    WHERE source = 'github'
    GROUP BY repo_id, number
) AS readings USING (repo_id, number)
WHERE ops.forge_of(prs.repo_id) = $forge
    AND (
        len($repos::VARCHAR[]) = 0
        OR prs.repo_id IN (
            -- Whatever it is called now, and however people write it.
            SELECT repo_id FROM observed.repositories
            WHERE list_contains(list_transform($repos::VARCHAR[], lambda name: lower(name)), lower(name))
        )
    )
    AND (
        prs.state = 'open' AND readings.read_at < $open_before::TIMESTAMP
        OR prs.closed_at >= $closed_after::TIMESTAMP AND readings.read_at < $closed_before::TIMESTAMP
    )
ORDER BY readings.read_at, prs.repo_id, prs.number;

-- name: selected
-- The repositories that discovery chose, in a fixed order.
SELECT name FROM raw.repositories WHERE is_selected AND ops.forge_of(repo_id) = $forge ORDER BY stars DESC, repo_id;

-- name: selected_before
-- Repositories chosen earlier, which a new discovery must decide on again; with the forge's own ids.
SELECT own_id(repo_id) AS repo_id, name FROM raw.repositories WHERE is_selected AND ops.forge_of(repo_id) = $forge;
