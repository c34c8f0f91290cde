CREATE TABLE IF NOT EXISTS ml.promotions (
    model VARCHAR,
    version INTEGER,
    decided_at TIMESTAMP,
    kind VARCHAR NOT NULL CHECK (kind IN ('training', 'rollback', 'manual')),
    promoted BOOLEAN NOT NULL,
    champion_before INTEGER,
    reason VARCHAR NOT NULL,
    comparisons STRUCT(
        time_window VARCHAR, metric VARCHAR, difference DOUBLE, lower DOUBLE, upper DOUBLE, margin DOUBLE,
        regression BOOLEAN, reason VARCHAR
    )[],
    PRIMARY KEY (model, version, decided_at)
);
COMMENT ON TABLE ml.promotions IS 'Every decision about who is champion, with the numbers behind it';
COMMENT ON COLUMN ml.promotions.model IS 'Name of the model';
COMMENT ON COLUMN ml.promotions.version IS 'Version that was judged, or rolled back to';
COMMENT ON COLUMN ml.promotions.decided_at IS 'When (UTC)';
COMMENT ON COLUMN ml.promotions.kind IS 
    'training: judged after its training; rollback: `qc rollback`; manual: the alias was moved in MLflow';
COMMENT ON COLUMN ml.promotions.promoted IS 'Whether it became champion';
COMMENT ON COLUMN ml.promotions.champion_before IS 'Champion until then; NULL if there was none';
COMMENT ON COLUMN ml.promotions.reason IS 'Why, in words';
COMMENT ON COLUMN ml.promotions.comparisons IS
    'Challenger minus champion on the same rows, with 95 % interval and margin, by window and metric; NULL where a '
    'number does not exist, with the reason';

-- name: of_model
FROM ml.promotions WHERE model = $model ORDER BY decided_at;
