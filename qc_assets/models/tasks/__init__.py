"""What a model is asked for: a probability, a duration or a category. All else of the lifecycle is the same."""

from qc_assets.models.spec import ModelSpec
from qc_assets.models.tasks.category import Category
from qc_assets.models.tasks.duration import Duration
from qc_assets.models.tasks.probability import Probability
from qc_assets.models.tasks.task import Task

TASKS: dict[str, Task] = {task.name: task for task in (Probability(), Duration(), Category())}


def task_of(spec: ModelSpec) -> Task:
    """The task of a spec."""
    return TASKS[spec.task]
