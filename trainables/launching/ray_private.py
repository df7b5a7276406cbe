"""All uses of private parts of Ray, each with the reason and with what is public and does not suffice.

`tests/trainables/launching/test_ray_private.py` fails with a clear message when a new version of Ray changes one of
them. Nothing else in this project imports private modules of Ray.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray
from ray._private import ray_constants
from ray._private.state import state
from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import (
    get_or_create_autoscaling_coordinator,
)
from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.constants import get_env_vars_to_propagate
from ray.train.v2._internal.execution.controller import TrainController
from ray.train.v2._internal.execution.failure_handling.default import _is_preemption_failure
from ray.train.v2._internal.execution.scaling_policy.elastic import ElasticScalingPolicy

STOP_SECONDS = 60
"""Time in seconds for a group to end by itself. After it, its processes are killed and Ray frees their resources."""
START_SECONDS = 30
"""Seconds in which an elastic group must get the resources that Ray's list of nodes promised, before it is counted
again: a node may have been lost."""
POLL_SECONDS = 0.2
"""Interval in seconds at which the controller polls its workers. They wait after each epoch until they are polled."""


@contextmanager
def on_loopback() -> Iterator[None]:
    """Context in which Ray starts with all its ports on 127.0.0.1 only, as it does by default on macOS.

    Public alternative: none. `ray.init` replaces a loopback address with the machine's own, and the environment
    variable set here is read by Ray's other processes, but by this process only when it imports Ray.
    """
    name = ray_constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    constant, variable = ray_constants.ENABLE_RAY_CLUSTER, os.environ.get(name)
    ray_constants.ENABLE_RAY_CLUSTER, os.environ[name] = False, "0"
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = constant
        del os.environ[name]
        if variable is not None:
            os.environ[name] = variable


def session_folder() -> Path:
    """Return Ray's session folder on this machine.

    Public alternative: none. `ray.get_runtime_context()` has the session's name, but not the folder that holds it.
    """
    return Path(ray._private.worker._global_node.get_session_dir_path())


@contextmanager
def dead_nodes_silenced() -> Iterator[None]:
    """Context in which Ray does not print a page of its log for each node that dies; the view shows the failed trials.

    Public alternative: none. `ray.init(log_to_driver=False)` only hides what the trials themselves print.
    """
    printing = ray._private.worker.print_to_stdstream
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    try:
        yield
    finally:
        ray._private.worker.print_to_stdstream = printing


def draining_nodes() -> set[str]:
    """Return the IDs of the nodes that are being drained: Ray schedules nothing on them, and they shut down soon.

    Public alternative: `ray.util.state.list_nodes`, which requires the dashboard and does not say so. Ray Train itself
    calls this function.
    """
    return set(state.get_draining_nodes())


def was_preempted(error: Exception) -> bool:
    """Return whether Ray Train's `TrainingFailedError` is due to a node that was drained and shut down.

    Public alternative: none. Neither the class nor the message of the error shows it.
    """
    return bool(_is_preemption_failure(error))


def autoscaling_coordinator() -> Any:
    """Return the autoscaling coordinator of the Ray cluster, an actor; created by the first call.

    Public alternative: none. Ray Train creates it on the node of whichever trial comes first; it must outlive that
    node.
    """
    return get_or_create_autoscaling_coordinator()


class DrainAwarePolicy(ElasticScalingPolicy):
    """The elastic policy of Ray, except that it does not count resources on nodes that are being drained.

    Public alternative: none. `ScalingConfig` has no option for a policy.
    """

    def _count_possible_workers(self, reserved_resources: dict[str, Any]) -> int:
        draining = draining_nodes()
        staying = {node: held for node, held in reserved_resources.items() if node not in draining}
        return super()._count_possible_workers(staying)


class GroupTrainer(TorchTrainer):
    """A trainer that another thread can end while `fit` is waiting for it.

    Public alternative: none. `TorchTrainer.fit` blocks, and its controller can only be aborted by a reference to it,
    which Ray's own method drops. Killing the trial's process instead leaves the group's resources reserved.
    """

    _current: GroupTrainer | None = None
    """The group of this process, which runs one trial."""
    _controller: Any = None

    def reserve_afresh(self, name: str) -> None:
        """Cancel the reservation of an earlier group of the same name in Ray's autoscaling coordinator.

        Resources that a dead group reserved would stay reserved for minutes, and the coordinator may not know yet which
        nodes died with the group.
        """
        run_id = uuid.uuid5(uuid.NAMESPACE_URL, name).hex
        object.__setattr__(self.train_run_context, "run_id", run_id)  # frozen, and random by default
        coordinator, requester = autoscaling_coordinator(), f"train-{run_id}"
        ray.get(coordinator.cancel_request.remote(requester))
        ray.get(coordinator.get_reserved_resources.remote(requester, recompute=True))

    def _create_default_callbacks(self) -> list[Any]:
        # DatasetsCallback runs a process per group for shards of Ray Data sets, which trials do not use.
        return [one for one in super()._create_default_callbacks() if not isinstance(one, DatasetsCallback)]

    def _initialize_and_run_controller(self, **arguments: Any) -> Any:
        # Like the method of Ray, but it keeps a reference to the controller.
        here = {ray._raylet.RAY_NODE_ID_KEY: ray.get_runtime_context().get_node_id()}
        environment = get_env_vars_to_propagate() | {
            "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": str(POLL_SECONDS),
            "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a process per group, for what `draining_nodes` does
        }
        if self.scaling_config.elasticity_enabled:
            environment["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(START_SECONDS)
            arguments["scaling_policy"] = DrainAwarePolicy(self.scaling_config)
        actor = ray.remote(num_cpus=0, label_selector=here, runtime_env={"env_vars": environment})(TrainController)
        GroupTrainer._current, self._controller = self, actor.remote(**arguments)
        ray.get(self._controller.run.remote())
        return ray.get(self._controller.get_result.remote())

    @classmethod
    def end_current(cls) -> None:
        """End the workers and free their resources. The thread that waits for them gets an error."""
        if cls._current is not None and (controller := cls._current._controller) is not None:
            ray.wait([controller.abort.remote()], timeout=STOP_SECONDS)
