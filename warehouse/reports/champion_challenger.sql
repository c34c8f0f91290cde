-- name: table
CREATE TABLE reports.champion_challenger (
    model VARCHAR,
    champion INTEGER,
    challenger INTEGER,
    metric VARCHAR,
    items BIGINT NOT NULL,
    champion_value DOUBLE,
    challenger_value DOUBLE,
    difference DOUBLE,
    lower DOUBLE,
    upper DOUBLE,
    PRIMARY KEY (model, metric)
);
COMMENT ON TABLE reports.champion_challenger IS
    'Champion and challenger on the same items: those opened after both were tested (A/B on live rows)';
COMMENT ON COLUMN reports.champion_challenger.model IS 'Name of the model';
COMMENT ON COLUMN reports.champion_challenger.champion IS 'Version that is champion';
COMMENT ON COLUMN reports.champion_challenger.challenger IS 'Version that is challenger';
COMMENT ON COLUMN reports.champion_challenger.metric IS 'Judged metric';
COMMENT ON COLUMN reports.champion_challenger.items IS 'Items opened after both test windows that are decided now';
COMMENT ON COLUMN reports.champion_challenger.champion_value IS 'The champion''s value; NULL where too few are decided';
COMMENT ON COLUMN reports.champion_challenger.challenger_value IS 'The challenger''s value';
COMMENT ON COLUMN reports.champion_challenger.difference IS 'Challenger minus champion';
COMMENT ON COLUMN reports.champion_challenger.lower IS 'Lower end of its 95 % interval (paired bootstrap)';
COMMENT ON COLUMN reports.champion_challenger.upper IS 'Upper end of it';
