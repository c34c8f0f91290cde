-- name: table
CREATE TABLE reports.alerts (
    model VARCHAR,
    version INTEGER,
    gate VARCHAR,
    detail VARCHAR NOT NULL,
    champion INTEGER,
    trained_at TIMESTAMP NOT NULL,
    dagster_run_id VARCHAR,
    PRIMARY KEY (model, gate)
);
COMMENT ON TABLE reports.alerts IS
    'Promises that the newest version of a model broke, so that an older one serves, or none';
COMMENT ON COLUMN reports.alerts.model IS 'Name of the model';
COMMENT ON COLUMN reports.alerts.version IS 'Its newest version';
COMMENT ON COLUMN reports.alerts.gate IS 'Name of the promise';
COMMENT ON COLUMN reports.alerts.detail IS 'The numbers';
COMMENT ON COLUMN reports.alerts.champion IS 'Version that serves; NULL if none does';
COMMENT ON COLUMN reports.alerts.trained_at IS 'End of its training (UTC)';
COMMENT ON COLUMN reports.alerts.dagster_run_id IS 'Run that trained it';

-- name: rows
WITH newest AS (
    SELECT model, version, trained_at, dagster_run_id
    FROM ml.model_versions
    WHERE status <> 'removed'
    QUALIFY row_number() OVER (PARTITION BY model ORDER BY version DESC) = 1
),
champions AS (SELECT model, version FROM ml.model_versions WHERE status = 'champion')
SELECT
    gates.model, gates.version, gates.gate, gates.detail, champions.version AS champion, newest.trained_at,
    newest.dagster_run_id
FROM ml.gates AS gates
INNER JOIN newest ON gates.model = newest.model AND gates.version = newest.version
LEFT JOIN champions ON gates.model = champions.model
-- Too few rows are nobody's fault, as they are where there are too few to train at all.
WHERE gates.blocks AND NOT gates.passed AND gates.gate <> 'enough_labelled_rows';
