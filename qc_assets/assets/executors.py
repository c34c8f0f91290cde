"""How runs are executed: in one process, but branches that can use one another's waiting time side by side."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import dagster as dg

from qc_assets.assets.run_owners import claim_run

_RETRIES: dict[str, Any] = {"retries": {"enabled": {}}}


class SideBySide(dg.Executor):
    """Executes a plan in one process, unless all of some steps are in it: then each step gets a process of its own.

    Args:
        steps: keys of the steps that gain from it.
        alone: executor of all other plans.
        processes: executor of those plans.
    """

    def __init__(self, steps: Collection[str], alone: dg.Executor, processes: dg.Executor) -> None:
        self._steps = frozenset(steps)
        self._alone = alone
        self._processes = processes

    @property
    def retries(self) -> Any:
        return self._alone.retries

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Execute a plan; yields its events."""
        claim_run(plan_context.instance, plan_context.run_id)  # for longer than this: the run's end is still to come
        together = self._steps <= set(execution_plan.step_keys_to_execute)
        yield from (self._processes if together else self._alone).execute(plan_context, execution_plan)


def side_by_side(*steps: str) -> dg.ExecutorDefinition:
    """The executor of the code location, whoever starts a run: a job, a backfill, the UI's button, a condition.

    Most steps share one DuckDB file and two cores: processes of their own would only wait for each other.

    Args:
        steps: keys of the steps whose plans are executed in two processes.
    """

    @dg.executor(name="one_process_or_side_by_side")
    def build(context: dg.InitExecutorContext) -> dg.Executor:
        def made(definition: dg.ExecutorDefinition, config: Mapping[str, Any]) -> dg.Executor:
            create: Any = definition.executor_creation_fn
            return create(context._replace(executor_config=config))

        processes = {
            "max_concurrent": 2,
            "start_method": {"forkserver": {"preload_modules": ["qc_assets.definitions"]}},
        }
        alone = made(dg.in_process_executor, _RETRIES)
        return SideBySide(steps, alone, made(dg.multiprocess_executor, _RETRIES | processes))

    return build
