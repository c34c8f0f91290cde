-- Version 0 (0.1.0) kept a hash of the schema's text in this table, which cannot say what comes before what. The
-- declaration in ops/schema_version.sql takes its place; all other tables are as they were.
DROP TABLE ops.schema_version;
