"""All models, in the order in which they are shown."""

from qc_assets.learning.spec import ModelSpec
from qc_assets.models.close_in_7_days import SPEC as CLOSE_IN_7_DAYS
from qc_assets.models.comment_category import SPEC as COMMENT_CATEGORY
from qc_assets.models.p0 import SPEC as P0
from qc_assets.models.resolution_time import SPEC as RESOLUTION_TIME

SPECS: tuple[ModelSpec, ...] = (P0, RESOLUTION_TIME, CLOSE_IN_7_DAYS, COMMENT_CATEGORY)
