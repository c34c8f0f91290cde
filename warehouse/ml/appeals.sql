CREATE TABLE IF NOT EXISTS ml.appeals (
    entry VARCHAR PRIMARY KEY,
    payout VARCHAR NOT NULL,
    state VARCHAR NOT NULL CHECK (state IN ('open', 'upheld', 'rejected', 'resumed')),
    told_by VARCHAR NOT NULL,
    reason VARCHAR NOT NULL,
    fact VARCHAR,
    told_at TIMESTAMP NOT NULL,
    received_key VARCHAR,
    received_from VARCHAR,
    hash VARCHAR NOT NULL
);
COMMENT ON TABLE ml.appeals IS 
    'Appeals against payouts, and how people settled them, and doubts about all payments: an entry each';
COMMENT ON COLUMN ml.appeals.entry IS 'Journal and number of the entry';
COMMENT ON COLUMN ml.appeals.payout IS 'Identity of the payout; empty where it is about all';
COMMENT ON COLUMN ml.appeals.state IS 
    'open: an appeal; upheld or rejected: how the one before was settled; resumed: payments that were stopped go on';
COMMENT ON COLUMN ml.appeals.told_by IS 'Who appealed or settled, in the words of the caller';
COMMENT ON COLUMN ml.appeals.reason IS 'Why';
COMMENT ON COLUMN ml.appeals.fact IS
    'Which fact is said to be wrong, or why payments were stopped; NULL where an appeal is settled';
COMMENT ON COLUMN ml.appeals.told_at IS 'When (UTC)';
COMMENT ON COLUMN ml.appeals.received_key IS 'Name of the key that asked; NULL where none is needed';
COMMENT ON COLUMN ml.appeals.received_from IS 'Address that asked';
COMMENT ON COLUMN ml.appeals.hash IS 'Of the entry, over all that it holds and the hash of the one before';
