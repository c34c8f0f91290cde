CREATE TABLE IF NOT EXISTS raw.users (
    user_id BIGINT PRIMARY KEY, -- forge id
    login VARCHAR,
    type VARCHAR,
    is_bot BOOLEAN,
    source VARCHAR NOT NULL,
    observed_at TIMESTAMP NOT NULL,
    partition_date DATE NOT NULL
);
COMMENT ON TABLE raw.users IS 'One row an account that opened, reviewed or commented';
COMMENT ON COLUMN raw.users.user_id IS 
    'Id with the number of its forge, as in raw.repositories (negative: synthetic)';
COMMENT ON COLUMN raw.users.login IS 'Login as last seen; ghost for a deleted account';
COMMENT ON COLUMN raw.users.type IS 'User, Bot, Organization or Mannequin, where the source tells';
COMMENT ON COLUMN raw.users.is_bot IS 'By account type, [bot] suffix or a list of known service accounts';
COMMENT ON COLUMN raw.users.source IS 'Source of the newest observation: demo, gharchive or github';
COMMENT ON COLUMN raw.users.observed_at IS 'When the newest observation was made (UTC)';
COMMENT ON COLUMN raw.users.partition_date IS 'Latest day of activity (UTC) on which it was observed';
