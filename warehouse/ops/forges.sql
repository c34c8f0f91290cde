CREATE TABLE IF NOT EXISTS ops.forges (
    forge_number INTEGER PRIMARY KEY,
    forge VARCHAR NOT NULL UNIQUE,
    is_synthetic BOOLEAN NOT NULL CHECK (is_synthetic = (forge_number < 0)),
    first_loaded_at TIMESTAMP NOT NULL
);
COMMENT ON TABLE ops.forges IS 'Whose ids are in this warehouse: each is forge_number * 2**40 + the forge''s own id';
COMMENT ON COLUMN ops.forges.forge_number IS 'github.com is 0, the demo -1; another''s is a hash of its name';
COMMENT ON COLUMN ops.forges.forge IS 'Host, with its port if it has one of its own; demo';
COMMENT ON COLUMN ops.forges.is_synthetic IS 'What it shows is made up: it never counts as real';
COMMENT ON COLUMN ops.forges.first_loaded_at IS 'When something of it was first loaded (UTC)';
-- The host of a row, by any of its ids. Stored in the file, so that it is there for every reader.
CREATE OR REPLACE MACRO ops.forge_of(id) AS CASE id::BIGINT >> 40
    WHEN 0 THEN 'github.com' WHEN -1 THEN 'demo'
    ELSE (SELECT forge FROM ops.forges WHERE forge_number = id::BIGINT >> 40)
END;
-- A name as people write it: with its host, unless it is one of github.com or of the demo.
CREATE OR REPLACE MACRO ops.qualified(id, name) AS
    CASE WHEN id::BIGINT >> 40 IN (0, -1) THEN name ELSE coalesce(ops.forge_of(id) || '/', '') || name END;
