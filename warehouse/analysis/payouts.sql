-- name: view
CREATE OR REPLACE VIEW analysis.payouts AS
SELECT
    reports.asked_at,
    date_trunc('month', reports.asked_at)::DATE AS month,
    coalesce(repositories.repository, regexp_replace(reports.task_id, '#\d+$', '')) AS repository,
    payouts.number,
    pull_requests.title,
    repositories.link || '/pull/' || payouts.number AS link,
    reports.worker_id AS author,
    reports.origin,
    features.author_seniority AS seniority,
    reports.version,
    reports.p0,
    reports.p0_lower,
    reports.p0_upper,
    reports.beta,
    reports.value,
    reports.d1,
    (reports.d1 IS NOT NULL)::TINYINT AS is_paid,
    (reports.d1 IS NOT NULL AND reports.replaced_by IS NULL)::TINYINT AS counts,
    reports.refused AS why_refused,
    reports.facts_from,
    reports.claimed,
    reports.passed::TINYINT AS passed,
    reports.appeal,
    reports.adds_up::TINYINT AS adds_up,
    reports.is_synthetic::TINYINT AS is_made_up,
    reports.payout_id,
    reports.entry,
    payouts.repo_id
FROM reports.payouts AS reports
INNER JOIN ml.payouts AS payouts ON reports.entry = payouts.entry
LEFT JOIN analysis.repositories AS repositories ON payouts.repo_id = repositories.repo_id
LEFT JOIN raw.pull_requests AS pull_requests
    ON payouts.repo_id = pull_requests.repo_id AND payouts.number = pull_requests.number
LEFT JOIN features.pull_requests AS features
    ON payouts.repo_id = features.repo_id AND payouts.number = features.number;
COMMENT ON VIEW analysis.payouts IS
    'One row a payout or refusal, with names, and what became of the pull request; as of the last computing of '
    'reports.payouts';
COMMENT ON COLUMN analysis.payouts.asked_at IS 'When it was asked for (UTC)';
COMMENT ON COLUMN analysis.payouts.month IS 'First day of that month (UTC)';
COMMENT ON COLUMN analysis.payouts.repository IS 'owner/name (analysis.repositories); else as it was asked';
COMMENT ON COLUMN analysis.payouts.number IS 'Number of the pull request';
COMMENT ON COLUMN analysis.payouts.title IS 'Title as it is now; a stranger''s words';
COMMENT ON COLUMN analysis.payouts.link IS 'Where to read it; NULL for what is made up or has no host';
COMMENT ON COLUMN analysis.payouts.author IS 'Login of the author, as it was asked';
COMMENT ON COLUMN analysis.payouts.origin IS
    'Who made the pull request, as it was known when it was asked: person, assisted, agent or automation';
COMMENT ON COLUMN analysis.payouts.seniority IS
    'Of the author in this repository at the opening: newcomer, junior, mid, senior or unknown';
COMMENT ON COLUMN analysis.payouts.version IS 'Version of p0 that answered';
COMMENT ON COLUMN analysis.payouts.p0 IS 'Probability that it was computed with';
COMMENT ON COLUMN analysis.payouts.p0_lower IS 'Lower end of its interval';
COMMENT ON COLUMN analysis.payouts.p0_upper IS 'Upper end of it';
COMMENT ON COLUMN analysis.payouts.beta IS 'Share, 0 to 1';
COMMENT ON COLUMN analysis.payouts.value IS 'V';
COMMENT ON COLUMN analysis.payouts.d1 IS 'What was paid: beta × p0 × value; NULL if it was refused';
COMMENT ON COLUMN analysis.payouts.is_paid IS '1 if it was paid, 0 if it was refused';
COMMENT ON COLUMN analysis.payouts.counts IS
    '1 if it was paid and no later payout corrects it: sum(d1) FILTER (counts) is what was paid in all';
COMMENT ON COLUMN analysis.payouts.why_refused IS 'Why nothing was paid';
COMMENT ON COLUMN analysis.payouts.facts_from IS 'warehouse, delivery, or claims: nobody but the caller';
COMMENT ON COLUMN analysis.payouts.claimed IS 'What nobody but the caller says of the pull request';
COMMENT ON COLUMN analysis.payouts.passed IS '1 if it passed its first review, 0 if not, NULL while that is open';
COMMENT ON COLUMN analysis.payouts.appeal IS 'Where the last appeal stands: open, upheld or rejected';
COMMENT ON COLUMN analysis.payouts.adds_up IS '1 if SQL computes the same, to the cent';
COMMENT ON COLUMN analysis.payouts.is_made_up IS '1 if p0 was trained on the demo: this is no real payout';
COMMENT ON COLUMN analysis.payouts.payout_id IS 'Identity that the caller gave';
COMMENT ON COLUMN analysis.payouts.entry IS 'Journal and number of the entry';
COMMENT ON COLUMN analysis.payouts.repo_id IS 'Repository, as other tables have it; 0 if it is not known';
