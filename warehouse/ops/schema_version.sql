-- name: table
CREATE TABLE IF NOT EXISTS ops.schema_version (
    version INTEGER PRIMARY KEY,
    declarations VARCHAR NOT NULL,
    applied_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE ops.schema_version IS 'The versions that this warehouse has had; the highest is its present one';
COMMENT ON COLUMN ops.schema_version.version IS
'Number of the last file of warehouse/migrations that was applied; a new warehouse begins with the latest';
COMMENT ON COLUMN ops.schema_version.declarations IS 'SHA-256 of the declarations that the tables were last brought to';
COMMENT ON COLUMN ops.schema_version.applied_at IS 'When that was (UTC)';
