"""Which process is at work on a run of MLflow's: it holds a lock for as long as it lives, however it ends.

MLflow takes a run for running until somebody says otherwise; a process that is killed says nothing.
"""

import logging
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from filelock import FileLock

from qc_assets.errors import QcError
from qc_assets.locks import acquire_lock, is_locked
from qc_assets.registry.mlflow_store import MlflowStore, mlflow_at_work

log = logging.getLogger(__name__)

KEEPER = "keeper"  # a tag of the run: the name of the lock
_FOLDER = "keepers"
_MOST = 1_000


@contextmanager
def keep_runs(store: MlflowStore) -> Iterator[str]:
    """A name for the tag `keeper` of runs that this process is at work on; runs of dead processes are ended first.

    Whoever leaves the block must have ended them: then the lock's file goes, too, unless one is still running.
    """
    end_abandoned(store)
    keeper = uuid.uuid4().hex
    path = store.artifact_root.parent / _FOLDER / f"{keeper}.lock"
    lock = acquire_lock(path)
    assert isinstance(lock, FileLock), "nobody else has this name"
    try:
        yield keeper
    finally:
        lock.release()
        end_abandoned(store)


def end_abandoned(store: MlflowStore) -> int:
    """Mark runs as KILLED whose process has died on this machine; returns how many.

    Costs nothing where nothing was left behind. A store that does not answer is told the next time.
    """
    left = [path for path in store.artifact_root.parent.glob(f"{_FOLDER}/*.lock") if not is_locked(path)]
    if not left:
        return 0
    from mlflow.exceptions import MlflowException

    ended = 0
    for path in left:
        try:
            with mlflow_at_work():
                client = store.client()
                experiments = [experiment.experiment_id for experiment in client.search_experiments()]
                condition = f"attributes.status = 'RUNNING' AND tags.{KEEPER} = '{path.stem}'"
                for run in client.search_runs(experiments, condition, max_results=_MOST):
                    client.set_tag(run.info.run_id, "ended", "its process died without a word")
                    client.set_terminated(run.info.run_id, "KILLED")
                    ended += 1
        # What is being done now matters more than what became of something else.
        except (MlflowException, QcError, OSError) as error:
            log.warning("runs of a process that died are still running in MLflow's eyes: %s", error)
            return ended
        with suppress(FileNotFoundError):  # another process was quicker
            path.unlink()
    return ended
