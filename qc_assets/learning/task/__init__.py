"""What a model is asked for: a probability, a duration or a category. All else of the lifecycle is the same."""

import polars as pl

from qc_assets.learning.dataset import Dataset
from qc_assets.learning.spec import ModelSpec
from qc_assets.learning.task.category import Category
from qc_assets.learning.task.duration import Duration
from qc_assets.learning.task.interface import Task
from qc_assets.learning.task.probability import Probability

TASKS: dict[str, Task] = {task.name: task for task in (Probability(), Duration(), Category())}


def task_named(name: str) -> Task:
    """The task of that name, as in `ModelSpec.task`."""
    return TASKS[name]


def task_of(spec: ModelSpec) -> Task:
    """The task of a spec."""
    return task_named(spec.task)


def labelled(spec: ModelSpec, rows: pl.DataFrame) -> pl.DataFrame:
    """The rows of a model that say something to learn from: those with a label, or all where lasting is one, too."""
    return rows if task_of(spec).unended_is_a_label else rows.filter(pl.col(spec.target).is_not_null())


def dataset_of(spec: ModelSpec, frame: pl.DataFrame) -> Dataset:
    """Rows of a model as arrays; see `Dataset.from_frame`."""
    return Dataset.from_frame(spec, frame, task_of(spec).labels)
