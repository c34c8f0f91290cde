-- name: table
CREATE TABLE reports.calibration (
    model VARCHAR,
    version INTEGER,
    bin INTEGER,
    items BIGINT NOT NULL,
    predicted DOUBLE NOT NULL,
    observed DOUBLE NOT NULL,
    PRIMARY KEY (model, version, bin)
);
COMMENT ON TABLE reports.calibration IS
    'Champions that answer with a probability: what was predicted against what happened, in 15 bins of equal '
    'mass of the test window';
COMMENT ON COLUMN reports.calibration.model IS 'Name of the model';
COMMENT ON COLUMN reports.calibration.version IS 'Version that is champion';
COMMENT ON COLUMN reports.calibration.bin IS 'Bin by prediction, 1 the lowest';
COMMENT ON COLUMN reports.calibration.items IS 'Rows in the bin';
COMMENT ON COLUMN reports.calibration.predicted IS 'Mean prediction';
COMMENT ON COLUMN reports.calibration.observed IS 'Share that came true';

-- name: rows
WITH binned AS (
    SELECT
        predictions.model,
        predictions.version,
        ntile(15) OVER (
            PARTITION BY predictions.model, predictions.version
            ORDER BY predictions.prediction, predictions.repo_id, predictions.number
        ) AS bin,
        predictions.prediction,
        predictions.label
    FROM ml.test_predictions AS predictions
    INNER JOIN ml.model_versions AS versions
        ON predictions.model = versions.model AND predictions.version = versions.version
    WHERE versions.status = 'champion' AND versions.task = 'probability'
)
SELECT model, version, bin, count(*) AS items, avg(prediction) AS predicted, avg(label) AS observed
FROM binned
GROUP BY model, version, bin;
