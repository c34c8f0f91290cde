-- name: table
CREATE TABLE reports.funnel (
    position INTEGER PRIMARY KEY,
    step VARCHAR NOT NULL,
    pull_requests BIGINT NOT NULL,
    dropped BIGINT NOT NULL
);
COMMENT ON TABLE reports.funnel IS
    'How many pull requests are left at each step on the way to the p0 model, and how many a step drops';
COMMENT ON COLUMN reports.funnel.position IS 'Order of the steps';
COMMENT ON COLUMN reports.funnel.step IS 'What is asked of a pull request';
COMMENT ON COLUMN reports.funnel.pull_requests IS 'How many fulfil this step and all before';
COMMENT ON COLUMN reports.funnel.dropped IS 'How many the step drops';

-- name: rows
WITH steps (position, step, exclusion) AS (
    VALUES
        (1, 'all pull requests', NULL),
        (2, 'opening was observed', 'opening_not_observed'),
        (3, 'opened in covered time', 'outside_coverage'),
        (4, 'opened by a person', 'bot'),
        (5, 'not a draft', 'draft'),
        (6, 'size at the opening is known', 'size_unknown'),
        (7, 'large enough', 'too_small'),
        (8, 'first review decided', 'undecided')
),
dropped AS (
    SELECT steps.position, steps.step, count(features.repo_id) AS dropped
    FROM steps
    LEFT JOIN features.pull_requests AS features ON steps.exclusion = features.exclusion
    GROUP BY steps.position, steps.step
)
SELECT
    position,
    step,
    ((SELECT count(*) FROM features.pull_requests) - sum(dropped) OVER (ORDER BY position))::BIGINT AS pull_requests,
    dropped
FROM dropped;
