-- name: table
CREATE TABLE IF NOT EXISTS critique.summaries (
    thread_id BIGINT PRIMARY KEY, -- forge id
    batch VARCHAR NOT NULL,
    repo_id BIGINT NOT NULL, -- forge id
    number BIGINT NOT NULL,
    comments BIGINT NOT NULL,
    content_hash VARCHAR NOT NULL,
    summary VARCHAR,
    outcome VARCHAR,
    method VARCHAR NOT NULL,
    error VARCHAR
);
COMMENT ON TABLE critique.summaries IS 'One row a discussion with a comment that is kept: what it came to';
COMMENT ON COLUMN critique.summaries.thread_id IS 'Its first comment';
COMMENT ON COLUMN critique.summaries.batch IS 'Batch of its repository';
COMMENT ON COLUMN critique.summaries.repo_id IS 'Repository';
COMMENT ON COLUMN critique.summaries.number IS 'Pull request';
COMMENT ON COLUMN critique.summaries.comments IS 'Comments in it';
COMMENT ON COLUMN critique.summaries.content_hash IS 'Of what was summarized, and how';
COMMENT ON COLUMN critique.summaries.summary IS 'In a few sentences, masked; NULL if there is none';
COMMENT ON COLUMN critique.summaries.outcome IS 'changed, rejected, open or unclear; only language models say it';
COMMENT ON COLUMN critique.summaries.method IS 'What made it, with its version';
COMMENT ON COLUMN critique.summaries.error IS 'Why there is none: ceiling, or what the endpoint did wrong';

-- name: forget
DELETE FROM critique.summaries WHERE batch = $batch;

-- name: some
SELECT comments, summary, outcome
FROM critique.summaries
WHERE batch = $batch
ORDER BY comments DESC, thread_id
LIMIT 5;
