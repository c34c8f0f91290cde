-- The journal where many servers write it. Statements are those of the file's journal, so JSON is asked for as SQLite
-- does it; texts are compared byte by byte, as SQLite compares them.
CREATE OR REPLACE FUNCTION json_extract(document JSON, path TEXT) RETURNS TEXT
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT document ->> substr(path, 3) $$;

-- Numbers are given under a lock that is held until the end of the transaction, so they become visible in their order:
-- an importer that asks for what is greater than the last misses nothing. A sequence could not promise that.
CREATE TABLE IF NOT EXISTS entries (
    number BIGINT PRIMARY KEY,
    kind TEXT COLLATE "C" NOT NULL,
    key TEXT COLLATE "C",
    written_at TEXT COLLATE "C" NOT NULL,
    -- Not JSONB, which would write numbers otherwise than they were hashed.
    document JSON NOT NULL
);
-- Which entry it is, without gaps: numbers have some. NULL in entries of before that was noted. An ALTER waits for every
-- reader, such as a pg_dump, also where there is nothing to do.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM pg_attribute WHERE attrelid = 'entries'::regclass AND attname = 'position' AND NOT attisdropped
    ) THEN
        ALTER TABLE entries ADD COLUMN position BIGINT;
    END IF;
END $$;
-- The position of the last.
CREATE TABLE IF NOT EXISTS tail (is_sole BOOLEAN PRIMARY KEY DEFAULT true CHECK (is_sole), position BIGINT NOT NULL);
INSERT INTO tail (position) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM tail);
CREATE UNIQUE INDEX IF NOT EXISTS one_entry_a_key ON entries (kind, key) WHERE key IS NOT NULL;
CREATE INDEX IF NOT EXISTS entries_by_kind ON entries (kind, number);
CREATE INDEX IF NOT EXISTS entries_of_task ON entries ((lower(json_extract(document, '$.task_id'))))
WHERE (kind IN ('payout', 'outcome') OR (kind = 'prediction' AND key IS NOT NULL));
-- A task is paid for once by its name and once by its place, and a payment is corrected once.
CREATE UNIQUE INDEX IF NOT EXISTS one_payment_a_task ON entries ((lower(json_extract(document, '$.task_id'))))
WHERE kind = 'payout' AND json_extract(document, '$.refused') IS NULL AND json_extract(document, '$.replaces') IS NULL;
CREATE UNIQUE INDEX IF NOT EXISTS one_payment_a_place ON entries (
    (CAST(json_extract(document, '$.repo_id') AS BIGINT)), (CAST(json_extract(document, '$.number') AS BIGINT))
)
WHERE kind = 'payout' AND json_extract(document, '$.refused') IS NULL AND json_extract(document, '$.replaces') IS NULL
AND json_extract(document, '$.repo_id') <> '0';
CREATE UNIQUE INDEX IF NOT EXISTS one_correction_a_payment ON entries ((json_extract(document, '$.replaces')))
WHERE kind = 'payout' AND json_extract(document, '$.refused') IS NULL;

CREATE INDEX IF NOT EXISTS payouts_of_place ON entries (
    (CAST(json_extract(document, '$.repo_id') AS BIGINT)), (CAST(json_extract(document, '$.number') AS BIGINT))
)
WHERE kind = 'payout';

CREATE TABLE IF NOT EXISTS losses (found_at TEXT NOT NULL, entries BIGINT NOT NULL, up_to BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS doubts (noted_at TEXT NOT NULL, doubt TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS forgotten (up_to BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS identity (journal TEXT PRIMARY KEY);
-- One row a server's life: how many of the predictions that it accepted are written.
CREATE TABLE IF NOT EXISTS sessions (session TEXT PRIMARY KEY, opened_at TEXT NOT NULL, written BIGINT NOT NULL);
