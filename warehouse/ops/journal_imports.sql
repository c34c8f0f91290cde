-- name: table
CREATE TABLE IF NOT EXISTS ops.journal_imports (
    journal VARCHAR PRIMARY KEY,
    up_to BIGINT NOT NULL,
    lost BIGINT NOT NULL,
    imported_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE ops.journal_imports IS 'How far the journals of the API have been brought into the warehouse';
COMMENT ON COLUMN ops.journal_imports.journal IS 'Identity of the journal file';
COMMENT ON COLUMN ops.journal_imports.up_to IS 'Number of the last entry that is here';
COMMENT ON COLUMN ops.journal_imports.lost IS 'Predictions that crashes of the server lost, in all';
COMMENT ON COLUMN ops.journal_imports.imported_at IS 'When that was (UTC)';

-- name: totals
SELECT
    (SELECT count(*) FROM ml.predictions) AS predictions,
    (SELECT count(*) FROM ml.predictions WHERE role = 'served') AS served,
    (SELECT count(*) FROM ml.feedback) AS feedback,
    (SELECT count(*) FROM ml.outcomes) AS outcomes,
    (SELECT count(*) FROM ml.closings) AS closings,
    (SELECT count(*) FROM ml.deliveries) AS deliveries,
    (SELECT count(*) FROM ml.payouts) AS payouts,
    (SELECT count(*) FROM ml.appeals) AS appeals;
