CREATE TABLE IF NOT EXISTS ml.payouts (
    entry VARCHAR PRIMARY KEY,
    payout_id VARCHAR,
    asked_at TIMESTAMP NOT NULL,
    task_id VARCHAR NOT NULL,
    worker_id VARCHAR NOT NULL,
    repo_id BIGINT NOT NULL, -- forge id
    number BIGINT NOT NULL,
    version INTEGER NOT NULL,
    is_synthetic BOOLEAN NOT NULL,
    beta DECIMAL(7, 6) NOT NULL,
    p0 DECIMAL(7, 6) NOT NULL,
    p0_lower DECIMAL(7, 6),
    p0_upper DECIMAL(7, 6),
    value DECIMAL(20, 6) NOT NULL,
    d1 DECIMAL(24, 2),
    refused VARCHAR,
    allowed VARCHAR[] NOT NULL,
    inputs VARCHAR NOT NULL
);
COMMENT ON TABLE ml.payouts IS
    'Every payout that was asked for: what was paid or why it was refused, and all that it was computed from';
COMMENT ON COLUMN ml.payouts.entry IS 'Journal and number of the entry';
COMMENT ON COLUMN ml.payouts.payout_id IS 'Identity that the caller gave, so that one payout is made once';
COMMENT ON COLUMN ml.payouts.asked_at IS 'When (UTC)';
COMMENT ON COLUMN ml.payouts.task_id IS 'As it was asked, owner/name#number if it is known';
COMMENT ON COLUMN ml.payouts.worker_id IS 'Login of the author';
COMMENT ON COLUMN ml.payouts.repo_id IS 'Repository; 0 if the warehouse does not know it';
COMMENT ON COLUMN ml.payouts.number IS 'Pull request; 0 if the task does not say';
COMMENT ON COLUMN ml.payouts.version IS 'Version of p0 that answered';
COMMENT ON COLUMN ml.payouts.is_synthetic IS 'It was trained on the demo source: this is no real payout';
COMMENT ON COLUMN ml.payouts.beta IS 'Share, 0 to 1';
COMMENT ON COLUMN ml.payouts.p0 IS 'Probability, rounded to six decimals before it was used';
COMMENT ON COLUMN ml.payouts.p0_lower IS
    'Lower end of the interval of p0; NULL where the version has none. It changes no payout';
COMMENT ON COLUMN ml.payouts.p0_upper IS 'Upper end of it';
COMMENT ON COLUMN ml.payouts.value IS 'V, in any currency';
COMMENT ON COLUMN ml.payouts.d1 IS 'beta × p0 × value, rounded to two decimals, half to even; NULL if it was refused';
COMMENT ON COLUMN ml.payouts.refused IS 'Why nothing was paid; NULL if it was';
COMMENT ON COLUMN ml.payouts.allowed IS 'What the caller allowed: uncertain, outdated';
COMMENT ON COLUMN ml.payouts.inputs IS 'JSON: the request, and the features that the model was given';
