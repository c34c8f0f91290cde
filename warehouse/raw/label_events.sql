-- shown by: timelineItems
CREATE TABLE IF NOT EXISTS raw.label_events (
    repo_id BIGINT, -- forge id
    number BIGINT,
    label VARCHAR,
    action VARCHAR CHECK (action IN ('labeled', 'unlabeled')),
    created_at TIMESTAMP,
    vanished_at TIMESTAMP,
    source VARCHAR NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    partition_date DATE NOT NULL,
    PRIMARY KEY (repo_id, number, label, action, created_at)
);
COMMENT ON TABLE raw.label_events IS 'One row each time a label was put on or taken off an issue or pull request';
COMMENT ON COLUMN raw.label_events.repo_id IS 'Repository';
COMMENT ON COLUMN raw.label_events.number IS 'Number of the issue or pull request';
COMMENT ON COLUMN raw.label_events.label IS 'Name of the label';
COMMENT ON COLUMN raw.label_events.action IS 'labeled or unlabeled';
COMMENT ON COLUMN raw.label_events.created_at IS 'When it happened (UTC)';
COMMENT ON COLUMN raw.label_events.vanished_at IS
    'When a reading of its item first did not show it any more (UTC); NULL while there';
COMMENT ON COLUMN raw.label_events.source IS 'Source of the newest observation: demo, gharchive or github';
COMMENT ON COLUMN raw.label_events.observed_at IS 'When the newest observation was made (UTC)';
COMMENT ON COLUMN raw.label_events.partition_date IS 'Latest day of activity (UTC) on which it was observed';
