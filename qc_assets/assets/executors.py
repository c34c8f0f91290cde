"""How runs are executed: in one process, but branches that can use one another's waiting time side by side.

Or, by QC_EXECUTOR, as Dagster and its integrations do it: each step in a process, a Celery task, a container, a job.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import dagster as dg

from qc_assets.assets.run_owners import claim_run
from qc_assets.errors import SettingsError
from qc_assets.settings import Settings

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


def executor_of(settings: Settings, *steps: str) -> dg.ExecutorDefinition:
    """The executor that QC_EXECUTOR names; without it `side_by_side`.

    Args:
        settings: which one, and Celery's broker.
        steps: see `side_by_side`.

    Raises:
        SettingsError: if what it needs is not installed or not set.
    """
    chosen = settings.executor
    if chosen == "local":
        return side_by_side(*steps)
    if chosen in _OF_DAGSTER:
        return _claimed(_OF_DAGSTER[chosen], _RETRIES)
    try:
        if chosen == "celery":
            from dagster_celery import celery_executor as integration
        elif chosen == "docker":
            from dagster_docker import docker_executor as integration
        else:
            from dagster_k8s import k8s_job_executor as integration
    except ImportError as error:
        raise SettingsError(f"QC_EXECUTOR={chosen} needs more: pip install 'qc-assets[cluster]' ({error})") from error
    if chosen != "celery":
        return integration
    if settings.celery_broker is None:
        raise SettingsError("QC_EXECUTOR=celery needs QC_CELERY_BROKER, such as redis://host:6379/0")
    broker = settings.celery_broker.get_secret_value()
    # Answers come back the same way.
    backend = broker if broker.startswith(("redis://", "rediss://")) else "rpc://"
    return _claimed(integration, _RETRIES | {"broker": broker, "backend": backend})


_OF_DAGSTER = {"in_process": dg.in_process_executor, "multiprocess": dg.multiprocess_executor}


def _claimed(definition: dg.ExecutorDefinition, config: Mapping[str, Any]) -> dg.ExecutorDefinition:
    """An executor of this configuration whose runs are known to be this process's, as `side_by_side` lets them be."""

    @dg.executor(name=definition.name, requirements=definition._requirements_fn)
    def build(context: dg.InitExecutorContext) -> dg.Executor:
        create: Any = definition.executor_creation_fn
        executor: dg.Executor = create(context._replace(executor_config=_with_defaults(definition, config)))
        execute = executor.execute

        def claim_and_execute(plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
            claim_run(plan_context.instance, plan_context.run_id)
            yield from execute(plan_context, execution_plan)

        executor.execute = claim_and_execute  # type: ignore[method-assign]
        return executor

    return build


def _with_defaults(definition: dg.ExecutorDefinition, config: Mapping[str, Any]) -> Any:
    from dagster._config import post_process_config, resolve_to_config_type

    config_type = resolve_to_config_type(definition.config_schema.config_type)
    return post_process_config(config_type, dict(config)).value  # type: ignore[arg-type]
