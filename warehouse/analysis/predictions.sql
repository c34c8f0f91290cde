-- name: view
CREATE OR REPLACE VIEW analysis.predictions AS
WITH told AS (
    SELECT
        model, version, repo_id, number, comment_id, opened_at, NULL::TIMESTAMP AS predicted_at,
        'test window' AS made_for, prediction, lower, upper, answer, label, NULL AS task_id, NULL AS worker_id
    FROM ml.test_predictions
    UNION ALL
    SELECT
        model, version, repo_id, number, comment_id, opened_at, predicted_at,
        CASE WHEN entry = '' THEN 'open item' ELSE 'asked by somebody' END AS made_for,
        prediction, lower, upper, answer, NULL AS label, task_id, worker_id
    FROM ml.predictions
)
SELECT
    told.model,
    told.version,
    versions.status,
    coalesce(versions.status = 'champion', false)::TINYINT AS is_champion,
    versions.task,
    told.made_for,
    coalesce(
        repositories.repository, nullif(regexp_replace(told.task_id, '#\d+$', ''), ''),
        CASE WHEN told.comment_id <> 0 THEN 'labelled files' END, told.repo_id::VARCHAR
    ) AS repository,
    nullif(told.number, 0) AS number,
    coalesce(pull_requests.title, issues.title) AS title,
    repositories.link || '/' || CASE WHEN issues.number IS NULL THEN 'pull/' ELSE 'issues/' END || told.number AS link,
    coalesce(pull_requests.author_login, issues.author_login, told.worker_id) AS author,
    repositories.language,
    told.opened_at,
    date_trunc('month', told.opened_at)::DATE AS month,
    told.predicted_at,
    -- Issues have no origin of their own.
    of_pull_requests.origin,
    coalesce(of_pull_requests.author_seniority, of_issues.author_seniority, 'unknown') AS seniority,
    told.prediction,
    told.lower,
    told.upper,
    told.answer,
    coalesce(
        told.label,
        CASE told.model
            WHEN 'p0' THEN of_pull_requests.passed::DOUBLE
            WHEN 'first_response' THEN of_pull_requests.first_response_hours
            WHEN 'close_in_7_days' THEN of_issues.closed_in_7_days::DOUBLE
            WHEN 'resolution_time' THEN of_issues.resolution_hours
            WHEN 'comment_category' THEN (of_comments.category = told.answer)::DOUBLE
        END
    ) AS outcome,
    CASE WHEN versions.task = 'probability' THEN (prediction - outcome) ** 2 END AS squared_error,
    CASE WHEN versions.task = 'duration' THEN abs(prediction - outcome) END AS absolute_error,
    CASE
        WHEN versions.task = 'duration' AND told.made_for = 'test window'
            THEN (outcome BETWEEN told.lower AND told.upper)::TINYINT
    END AS is_within_interval,
    told.comment_id,
    told.repo_id
FROM told
LEFT JOIN ml.model_versions AS versions ON told.model = versions.model AND told.version = versions.version
LEFT JOIN analysis.repositories AS repositories ON told.repo_id = repositories.repo_id
LEFT JOIN raw.pull_requests AS pull_requests
    ON told.repo_id = pull_requests.repo_id AND told.number = pull_requests.number
LEFT JOIN raw.issues AS issues ON told.repo_id = issues.repo_id AND told.number = issues.number
LEFT JOIN features.pull_requests AS of_pull_requests
    ON told.repo_id = of_pull_requests.repo_id AND told.number = of_pull_requests.number
LEFT JOIN features.issues AS of_issues ON told.repo_id = of_issues.repo_id AND told.number = of_issues.number
LEFT JOIN features.comments AS of_comments ON nullif(told.comment_id, 0) = of_comments.comment_id;
COMMENT ON VIEW analysis.predictions IS
    'One row a prediction that was made without knowing the outcome, with names, beside the outcome; of all models and '
    'versions, so name them: WHERE model = ''p0'' AND is_champion';
COMMENT ON COLUMN analysis.predictions.model IS 'Name of the model';
COMMENT ON COLUMN analysis.predictions.version IS 'Version in the MLflow registry';
COMMENT ON COLUMN analysis.predictions.status IS 'Of the version: champion, challenger, retired, rejected or removed';
COMMENT ON COLUMN analysis.predictions.is_champion IS '1 if it is the champion now';
COMMENT ON COLUMN analysis.predictions.task IS 'Kind of its answers: probability, duration or category';
COMMENT ON COLUMN analysis.predictions.made_for IS
    'test window: when the version was judged; open item: by the job scoring, while the outcome was open; asked by '
    'somebody: over the API';
COMMENT ON COLUMN analysis.predictions.repository IS
    'owner/name (analysis.repositories); as it was asked where the warehouse does not know it';
COMMENT ON COLUMN analysis.predictions.number IS 'Number of the pull request or issue';
COMMENT ON COLUMN analysis.predictions.title IS 'Title as it is now; a stranger''s words';
COMMENT ON COLUMN analysis.predictions.link IS 'Where to read it; NULL for what is made up or has no host';
COMMENT ON COLUMN analysis.predictions.author IS 'Login of the author of the pull request or issue';
COMMENT ON COLUMN analysis.predictions.language IS 'Main language of the repository';
COMMENT ON COLUMN analysis.predictions.opened_at IS 'When the item was opened (UTC)';
COMMENT ON COLUMN analysis.predictions.month IS 'First day of that month (UTC)';
COMMENT ON COLUMN analysis.predictions.predicted_at IS 'When the prediction was last made (UTC); NULL: at the training';
COMMENT ON COLUMN analysis.predictions.origin IS
    'Who made the pull request: person, assisted, agent, automation or unknown; NULL for issues';
COMMENT ON COLUMN analysis.predictions.seniority IS
    'Of its author in this repository at the opening: newcomer, junior, mid, senior or unknown';
COMMENT ON COLUMN analysis.predictions.prediction IS
    'Calibrated probability; median in hours; or confidence in the answer';
COMMENT ON COLUMN analysis.predictions.lower IS
    'Lower end of the interval: 80 % of durations, hours; of probabilities with one more failure like it';
COMMENT ON COLUMN analysis.predictions.upper IS
    'Upper end of it; of durations at the horizon it means: or longer; of probabilities with one more success';
COMMENT ON COLUMN analysis.predictions.answer IS 'The category, or UNCERTAIN; for probabilities only over the API';
COMMENT ON COLUMN analysis.predictions.outcome IS
    '1 if it came true, else 0; hours (in a test window up to the horizon); 1 if the category was right; NULL while '
    'that is open. What ends soon is known first: compare what was opened long ago';
COMMENT ON COLUMN analysis.predictions.squared_error IS 'Of a probability; its mean is the Brier score';
COMMENT ON COLUMN analysis.predictions.absolute_error IS 'Of a duration, hours';
COMMENT ON COLUMN analysis.predictions.is_within_interval IS
    '1 if a duration of a test window lies within its interval, which four in five should';
COMMENT ON COLUMN analysis.predictions.comment_id IS 'Review comment; 0 where the pull request or issue is meant';
COMMENT ON COLUMN analysis.predictions.repo_id IS 'Repository, as other tables have it';
