"""What a model is asked for: a probability, a duration or a category. All else of the lifecycle is the same."""

from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task.category import Category
from qc_assets.learning.task.duration import Duration
from qc_assets.learning.task.interface import Task
from qc_assets.learning.task.probability import Probability

TASKS: dict[str, Task] = {task.name: task for task in (Probability(), Duration(), Category())}


def task_of(spec: ModelSpec) -> Task:
    """The task of a spec."""
    return TASKS[spec.task]
