-- name: table
CREATE TABLE reports.funnel (
    position INTEGER PRIMARY KEY,
    step VARCHAR NOT NULL,
    pull_requests BIGINT NOT NULL,
    dropped BIGINT NOT NULL,
    by_people BIGINT NOT NULL,
    assisted BIGINT NOT NULL,
    by_agents BIGINT NOT NULL
);
COMMENT ON TABLE reports.funnel IS
    'How many pull requests are left at each step on the way to the p0 model, and how many a step drops';
COMMENT ON COLUMN reports.funnel.position IS 'Order of the steps';
COMMENT ON COLUMN reports.funnel.step IS 'What is asked of a pull request';
COMMENT ON COLUMN reports.funnel.pull_requests IS 'How many fulfil this step and all before';
COMMENT ON COLUMN reports.funnel.dropped IS 'How many the step drops';
COMMENT ON COLUMN reports.funnel.by_people IS 'How many of those that are left a person made, or nobody knows who';
COMMENT ON COLUMN reports.funnel.assisted IS 'How many of those that are left a person made with an assistant';
COMMENT ON COLUMN reports.funnel.by_agents IS 'How many of those that are left an agent made';

-- name: rows
WITH steps (position, step, exclusion) AS (
    VALUES
        (1, 'all pull requests', NULL),
        (2, 'opening was observed', 'opening_not_observed'),
        (3, 'opened in covered time', 'outside_coverage'),
        (4, 'made by a person or an agent, not by an automation', 'bot'),
        (5, 'not a draft', 'draft'),
        (6, 'size at the opening is known', 'size_unknown'),
        (7, 'large enough', 'too_small'),
        (8, 'first review decided', 'undecided')
),
dropped AS (
    SELECT
        steps.position,
        steps.step,
        count(features.repo_id) AS dropped,
        count(features.repo_id) FILTER (features.origin IN ('person', 'unknown')) AS by_people,
        count(features.repo_id) FILTER (features.origin = 'assisted') AS assisted,
        count(features.repo_id) FILTER (features.origin = 'agent') AS by_agents
    FROM steps
    LEFT JOIN features.pull_requests AS features ON steps.exclusion = features.exclusion
    GROUP BY steps.position, steps.step
),
whole AS (
    SELECT
        count(*) AS pull_requests,
        count(*) FILTER (origin IN ('person', 'unknown')) AS by_people,
        count(*) FILTER (origin = 'assisted') AS assisted,
        count(*) FILTER (origin = 'agent') AS by_agents
    FROM features.pull_requests
)
SELECT
    dropped.position,
    dropped.step,
    (whole.pull_requests - sum(dropped.dropped) OVER up_to)::BIGINT AS pull_requests,
    dropped.dropped,
    (whole.by_people - sum(dropped.by_people) OVER up_to)::BIGINT AS by_people,
    (whole.assisted - sum(dropped.assisted) OVER up_to)::BIGINT AS assisted,
    (whole.by_agents - sum(dropped.by_agents) OVER up_to)::BIGINT AS by_agents
FROM dropped
CROSS JOIN whole
WINDOW up_to AS (ORDER BY dropped.position);
