-- name: table
CREATE TABLE IF NOT EXISTS reports.bias (
    model VARCHAR,
    version INTEGER,
    attribute VARCHAR,
    question VARCHAR CHECK (question IN ('predictions', 'like_changes')),
    "group" VARCHAR,
    metric VARCHAR,
    "rows" BIGINT NOT NULL,
    weight DOUBLE,
    value DOUBLE,
    expected DOUBLE,
    gap DOUBLE,
    lower DOUBLE,
    upper DOUBLE,
    relative_gap DOUBLE,
    detectable DOUBLE,
    p_value DOUBLE,
    q_value DOUBLE,
    status VARCHAR NOT NULL,
    PRIMARY KEY (model, version, attribute, question, "group", metric)
);
COMMENT ON TABLE reports.bias IS 'Groups compared on the test window of each version';
COMMENT ON COLUMN reports.bias.model IS 'Name of the model';
COMMENT ON COLUMN reports.bias.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN reports.bias.attribute IS 'repo, seniority, labels, completion_time, keywords, language or newcomer';
COMMENT ON COLUMN reports.bias.question IS
    'predictions: are they as right for each group? like_changes: outcomes against what size, kind, text and '
    'time of the change alone let one expect';
COMMENT ON COLUMN reports.bias."group" IS 'Name of the group';
COMMENT ON COLUMN reports.bias.metric IS
    'observed_rate, brier, roc_auc; mae, mean_error of log hours; others are shown and not judged';
COMMENT ON COLUMN reports.bias."rows" IS 'Rows of the group in the test window';
COMMENT ON COLUMN reports.bias.weight IS 'Inverse frequency: n / (k * n_g)';
COMMENT ON COLUMN reports.bias.value IS 'Value for the group';
COMMENT ON COLUMN reports.bias.expected IS
    'Value if the group were treated as everybody is; the value over all rows where nothing is judged';
COMMENT ON COLUMN reports.bias.gap IS 'value - expected';
COMMENT ON COLUMN reports.bias.lower IS
    'Lower end of the 95 % bootstrap interval of the gap (of the value where nothing is judged)';
COMMENT ON COLUMN reports.bias.upper IS 'Upper end of it';
COMMENT ON COLUMN reports.bias.relative_gap IS 'Gap as a share of expected (mean_error: of the overall MAE)';
COMMENT ON COLUMN reports.bias.detectable IS 'Relative gap that would have been found four times in five';
COMMENT ON COLUMN reports.bias.p_value IS 'Chance of so large a gap if the group is treated as everybody is';
COMMENT ON COLUMN reports.bias.q_value IS 'The same after Benjamini and Hochberg, over groups and judged metrics';
COMMENT ON COLUMN reports.bias.status IS 'flagged, no gap seen, too small to say, or not judged';
