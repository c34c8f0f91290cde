"""Which feedback counts: what one key gave beyond its limit of a day, or while it was not to be trusted, does not."""

from collections.abc import Mapping
from datetime import datetime

import duckdb

from qc_assets.serving.keys import ApiKey
from qc_assets.serving.knobs import ServingKnobs
from qc_assets.store.schema import sql_sections

FEEDBACK_PER_DAY: int = ServingKnobs.model_fields["feedback_per_day"].default


def judge_feedback(connection: duckdb.DuckDBPyConnection, per_day: int, keys: Mapping[str, ApiKey]) -> None:
    """Say anew of all of ml.feedback what counts; nothing is deleted.

    Args:
        connection: a transaction on the warehouse.
        per_day: labels that one key may give in a day.
        keys: by name, as `qc keys` has them now.
    """
    sections = sql_sections("ml/feedback")
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE distrusted_keys "
        "(key_name VARCHAR, distrusted_from TIMESTAMP, distrusted_until TIMESTAMP)"
    )
    for key in keys.values():
        if key.distrusted_until:
            span = map(datetime.fromisoformat, (key.distrusted_from, key.distrusted_until))
            connection.execute("INSERT INTO distrusted_keys VALUES (?, ?, ?)", [key.name, *span])
    connection.execute(sections["judge"], {"per_day": per_day})
    connection.execute(sections["set_aside"])
