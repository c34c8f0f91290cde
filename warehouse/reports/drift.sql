-- name: table
CREATE TABLE reports.drift (
    model VARCHAR,
    version INTEGER,
    feature VARCHAR,
    reference_rows BIGINT NOT NULL,
    current_rows BIGINT NOT NULL,
    psi DOUBLE NOT NULL,
    by_chance DOUBLE NOT NULL,
    is_drifting BOOLEAN NOT NULL,
    unknown_before DOUBLE NOT NULL,
    unknown_now DOUBLE NOT NULL,
    PRIMARY KEY (model, version, feature)
);
COMMENT ON TABLE reports.drift IS
    'How far the champions'' inputs of the last 28 days are from those that they were judged on';
COMMENT ON COLUMN reports.drift.model IS 'Name of the model';
COMMENT ON COLUMN reports.drift.version IS 'Version that is champion';
COMMENT ON COLUMN reports.drift.feature IS 'Feature column, or answers: what the champion predicts';
COMMENT ON COLUMN reports.drift.reference_rows IS 'Rows opened in the test window';
COMMENT ON COLUMN reports.drift.current_rows IS 'Rows opened in the last 28 days';
COMMENT ON COLUMN reports.drift.psi IS
    'Population stability index over tenths of the reference and one bin for unknown values, half an item more in each';
COMMENT ON COLUMN reports.drift.by_chance IS 'What so few rows reach once in a thousand times without any drift';
COMMENT ON COLUMN reports.drift.is_drifting IS 'Above 0.25 and above what chance does';
COMMENT ON COLUMN reports.drift.unknown_before IS 'Share of rows of the test window in which it is unknown';
COMMENT ON COLUMN reports.drift.unknown_now IS 'Share of the last 28 days'' rows in which it is unknown';
