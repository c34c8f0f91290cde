-- name: table
CREATE TABLE IF NOT EXISTS ops.origin_rules (
    version VARCHAR NOT NULL,
    place INTEGER NOT NULL,
    matched_against VARCHAR NOT NULL CHECK (matched_against IN ('account', 'app', 'branch', 'coauthor', 'body')),
    pattern VARCHAR NOT NULL,
    origin VARCHAR NOT NULL CHECK (origin IN ('person', 'assisted', 'agent', 'automation')),
    agent VARCHAR,
    meaning VARCHAR,
    source VARCHAR,
    since DATE,
    own BOOLEAN NOT NULL,
    recorded_at TIMESTAMP NOT NULL,
    PRIMARY KEY (version, place)
);
COMMENT ON TABLE ops.origin_rules IS
    'The rules that tell who made a change, each version that features were ever computed by; the rows of '
    'features.pull_requests name theirs';
COMMENT ON COLUMN ops.origin_rules.version IS 'Hash of all rules of the version and their order';
COMMENT ON COLUMN ops.origin_rules.place IS
    'Order: of the rules that match, the first counts; kinds of evidence one after the other, in each the user''s '
    'first';
COMMENT ON COLUMN ops.origin_rules.matched_against IS
    'What the pattern is matched against: account (login of the author, whole), app (that opened it, whole), branch '
    '(from its beginning), coauthor (NAME <MAIL> of commits, anywhere), body (opened text without quotations, '
    'anywhere)';
COMMENT ON COLUMN ops.origin_rules.pattern IS 'Regular expression (RE2); letter case means nothing';
COMMENT ON COLUMN ops.origin_rules.origin IS 'What it tells';
COMMENT ON COLUMN ops.origin_rules.agent IS 'Whose agent or assistant; NULL if the rule does not say';
COMMENT ON COLUMN ops.origin_rules.meaning IS 'Why the pattern tells that, in words';
COMMENT ON COLUMN ops.origin_rules.source IS 'Where the fact is from';
COMMENT ON COLUMN ops.origin_rules.since IS 'Pull requests opened before that day are not spoken of; NULL: all are';
COMMENT ON COLUMN ops.origin_rules.own IS 'Whether it is of the user''s file (QC_ORIGIN_RULES)';
COMMENT ON COLUMN ops.origin_rules.recorded_at IS 'When the version was first used (UTC)';

-- name: record
INSERT INTO ops.origin_rules BY NAME
SELECT
    $origin_version AS version, rule.place, rule.matched_against, rule.pattern, rule.origin, rule.agent, rule.meaning,
    rule.source, rule.since, rule.own, $now::TIMESTAMP AS recorded_at
FROM (SELECT unnest($origin_rules) AS rule)
WHERE NOT EXISTS (FROM ops.origin_rules AS known WHERE known.version = $origin_version);
