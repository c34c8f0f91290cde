CREATE TABLE IF NOT EXISTS ml.waits (
    model VARCHAR,
    repo_id BIGINT, -- forge id
    number BIGINT,
    version INTEGER NOT NULL,
    as_of TIMESTAMP NOT NULL,
    waited_hours DOUBLE NOT NULL,
    expected_hours DOUBLE NOT NULL,
    remaining_hours DOUBLE,
    remaining_lower DOUBLE,
    remaining_upper DOUBLE,
    within_hours DOUBLE,
    horizon_hours DOUBLE,
    words VARCHAR,
    PRIMARY KEY (model, repo_id, number)
);
COMMENT ON TABLE ml.waits IS
    'How much longer items take that have waited already, as champions said at the last scoring';
COMMENT ON COLUMN ml.waits.model IS 'Name of the model';
COMMENT ON COLUMN ml.waits.repo_id IS 'Repository';
COMMENT ON COLUMN ml.waits.number IS 'Number within the repository';
COMMENT ON COLUMN ml.waits.version IS 'Version that was champion';
COMMENT ON COLUMN ml.waits.as_of IS 'Up to when it is known that it waits: end of the covered time (UTC)';
COMMENT ON COLUMN ml.waits.waited_hours IS 'Hours from its opening until then';
COMMENT ON COLUMN ml.waits.expected_hours IS 'Median from its opening, as it was to be expected then';
COMMENT ON COLUMN ml.waits.remaining_hours IS
    'Median of the hours that are still to come, given that it has waited; NULL where hardly any row waited so long';
COMMENT ON COLUMN ml.waits.remaining_lower IS 'Lower end of their interval of 80 %';
COMMENT ON COLUMN ml.waits.remaining_upper IS 'Upper end of it; at the horizon it means: or longer';
COMMENT ON COLUMN ml.waits.within_hours IS 'Hours to come within which 80 % end; at the horizon it means: or longer';
COMMENT ON COLUMN ml.waits.horizon_hours IS 'Hours to come that are counted';
COMMENT ON COLUMN ml.waits.words IS 'The same in words, such as within 31 h (80 %)';
