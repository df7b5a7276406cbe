"""A trial's loop in a Ray Train worker group, of a fixed size or an elastic one."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ray.train.torch import TorchTrainer
from ray.train.v2._internal.callbacks import DatasetsCallback
from ray.train.v2._internal.execution.scaling_policy.elastic import ElasticScalingPolicy
from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.trainable import wrap_function

from trainables.errors import Preempted
from trainables.launching.launchers import use_threads
from trainables.launching.preemption import leaving_nodes, this_node
from trainables.messages import Loop, TrialRequest

WAITING_MEMORY = 200 * 2**20
"""Bytes that Ray sets aside for a trial's process that waits for its workers."""
STOP_SECONDS = 60
"""What a group has to end in; then its processes die with the trial's, and Ray's cleaner frees what it held."""
ROOM_SECONDS, ROOM_TRIES = 30, 20
"""An elastic group that does not get the room that Ray's list promised it looks again: a node may be gone."""
POLL_SECONDS = 0.2
"""How often a group's controller asks its workers, each of which waits with its next epoch until it was asked."""
PEER_SECONDS = 120
"""Longer than Ray takes to tell that a node has died."""


@dataclass(frozen=True, kw_only=True)
class WorkersLauncher:
    """The loop in a Ray Train worker group: DDP over the workers, the first worker's reports forwarded to Tune.

    With `least` below `workers` the group is elastic: it takes as many workers as the cluster has room for when it
    starts, and grows while it runs. A group that fails is not mended: the trial resumes as every one that failed does,
    from its last epoch and with a new group. Batches are those of the configuration whatever the group's size, see
    `Training`, so the size changes speed alone.

    Needs Ray's dashboard: from it a group's cleaner learns that the group's controller has died; without it the groups
    of trials that died keep their resources for ever.
    """

    workers: int
    least: int | None = None
    """Workers that the group can do with; default: all."""
    cpus: float = 1
    """CPUs of one worker."""
    gpus: float = 0
    """GPUs of one worker."""
    growth_seconds: float = 60
    """How often a running group that is elastic looks for room to grow."""
    reuse_actors: bool = False  # a stop ends the process that would be reused

    @property
    def processes(self) -> int:
        return self.workers

    @property
    def least_processes(self) -> int:
        return self.least or self.workers

    def demand(self) -> dict[str, float]:
        return {"CPU": self.workers * self.cpus, "GPU": self.workers * self.gpus}

    def trainable(self, loop: Loop, study: str) -> Any:
        from ray import tune

        if elastic := self.least is not None:
            _coordinator()  # made here it is where the driver is, and not on the node of some trial
        launcher = self

        def run(config: dict[str, Any]) -> None:
            # Ray Train's own state: written by the group's controller, which runs on this node, and of no use later.
            with tempfile.TemporaryDirectory(prefix="mars-search-", ignore_cleanup_errors=True) as storage:
                train(config, storage)

        def train(config: dict[str, Any], storage: str) -> None:
            from ray.train import FailureConfig, RunConfig, ScalingConfig
            from ray.train.v2._internal.execution.failure_handling.default import _is_preemption_failure
            from ray.train.v2.api.exceptions import TrainingFailedError

            group = _Group(
                launcher._worker(loop, trial_node=this_node()),
                train_loop_config=config,
                scaling_config=ScalingConfig(
                    num_workers=(launcher.least, launcher.workers) if elastic else launcher.workers,
                    elastic_resize_monitor_interval_s=launcher.growth_seconds,
                    use_gpu=launcher.gpus > 0,
                    resources_per_worker={"CPU": launcher.cpus, "GPU": launcher.gpus},
                ),
                run_config=RunConfig(
                    name=f"train-{tune.get_context().get_trial_id()}",
                    storage_path=storage,
                    callbacks=[_NewEpochs()],
                    # The search decides which trial resumes, in one way for every failure.
                    failure_config=FailureConfig(
                        max_failures=0, controller_failure_limit=ROOM_TRIES if elastic else 0, max_preemption_failures=0
                    ),
                ),
            )
            if elastic:
                group.reserve_afresh(f"{study}/{config['number']}")
            try:
                group.fit()
            except TrainingFailedError as error:
                if _is_preemption_failure(error):  # the text of a worker that died with a drained node does not say so
                    raise Preempted(
                        f"a node of the trial's workers was drained, and gone before they were: {error}"
                    ) from error
                raise

        class GroupTrial(wrap_function(run)):  # type: ignore[misc]
            def cleanup(self) -> None:
                _Group.end_current()
                with suppress(Exception):  # what the thread says that has seen its group go
                    super().cleanup()

        # The trial's own process only waits: a CPU for it could be the one that its workers wait for. Tune wants it to
        # ask for something, so it asks for the memory of a waiting process.
        return tune.with_resources(GroupTrial, {"cpu": 0, "memory": WAITING_MEMORY})

    def _worker(self, loop: Loop, *, trial_node: str) -> Any:
        """What each worker runs."""
        cpus = self.cpus

        def train(config: dict[str, Any]) -> None:
            import ray.train
            import torch
            from ray.train.torch import get_device

            from trainables import distributed

            use_threads(cpus)
            if (device := get_device()).type == "cuda":
                torch.cuda.set_device(device)
            nodes = {this_node(), trial_node}

            def leave_in_time() -> None:
                if distributed.any_of(bool(nodes & leaving_nodes()), device):
                    raise Preempted("a node of the trial's workers is drained")

            with _peers_first():
                leave_in_time()
                for report in loop(TrialRequest(**config)):
                    ray.train.report(report.to_dict())
                    if report.ended is None:
                        leave_in_time()

        return train


@contextmanager
def _peers_first() -> Iterator[None]:
    """A worker whose peer is gone hears of it at once, from a broken connection; Ray takes longer to say what has
    died, a process or a node. It waits for that: the group is ended as soon as Ray knows, with the true reason.
    """
    from torch.distributed import DistError

    try:
        yield
    except RuntimeError as error:
        if isinstance(error, DistError) or "/gloo/" in str(error):  # gloo's errors have no class of their own
            time.sleep(PEER_SECONDS)
        raise


class _NewEpochs(TuneReportCallback):
    """Forwards each epoch once: a group that has grown repeats epochs which Tune has heard of already."""

    def __init__(self) -> None:
        super().__init__()
        self._told = 0

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        if metrics[0]["epoch"] > self._told:
            self._told = metrics[0]["epoch"]
            super().after_report(run_context, metrics, checkpoint)


class _ElasticPolicy(ElasticScalingPolicy):
    """Ray's own, which would wait for room on nodes that are drained."""

    def _count_possible_workers(self, reserved_resources: dict[str, Any]) -> int:
        leaving = leaving_nodes()
        staying = {node: held for node, held in reserved_resources.items() if node not in leaving}
        return super()._count_possible_workers(staying)


class _Group(TorchTrainer):
    """A trainer that can be ended from another thread than the one that waits for it."""

    _current: _Group | None = None
    """Of this process: it runs one trial."""
    _controller: Any = None

    def reserve_afresh(self, name: str) -> None:
        """Take the place of an earlier group of that name in Ray's list of who may take what.

        What a group that has died had reserved would stay reserved for minutes, and the list may not know yet which
        nodes died with it.
        """
        import ray

        run_id = uuid.uuid5(uuid.NAMESPACE_URL, name).hex
        object.__setattr__(self.train_run_context, "run_id", run_id)  # frozen, and random by default
        coordinator, requester = _coordinator(), f"train-{run_id}"
        ray.get(coordinator.cancel_request.remote(requester))
        ray.get(coordinator.get_reserved_resources.remote(requester, recompute=True))

    def _create_default_callbacks(self) -> list[Any]:
        # One keeps a process a group for the shards of Ray's data sets, which trials do not use.
        return [one for one in super()._create_default_callbacks() if not isinstance(one, DatasetsCallback)]

    def _initialize_and_run_controller(self, **arguments: Any) -> Any:
        # As Ray's own, which keeps its controller to itself.
        import ray
        from ray.train.v2._internal.constants import get_env_vars_to_propagate
        from ray.train.v2._internal.execution.controller import TrainController

        here = {ray._raylet.RAY_NODE_ID_KEY: this_node()}
        environment = get_env_vars_to_propagate() | {
            "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": str(POLL_SECONDS),
            "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",  # a process a group, for what `leaving_nodes` tells it
        }
        if self.scaling_config.elasticity_enabled:
            environment["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(ROOM_SECONDS)
            arguments["scaling_policy"] = _ElasticPolicy(self.scaling_config)
        actor = ray.remote(num_cpus=0, label_selector=here, runtime_env={"env_vars": environment})(TrainController)
        _Group._current, self._controller = self, actor.remote(**arguments)
        ray.get(self._controller.run.remote())
        return ray.get(self._controller.get_result.remote())

    @classmethod
    def end_current(cls) -> None:
        """End the workers and free what they hold. The thread that waits for them sees their controller die."""
        import ray

        if cls._current is not None and (controller := cls._current._controller) is not None:
            ray.wait([controller.abort.remote()], timeout=STOP_SECONDS)


def _coordinator() -> Any:
    from ray.data._internal.cluster_autoscaler.default_autoscaling_coordinator import (
        get_or_create_autoscaling_coordinator,
    )

    return get_or_create_autoscaling_coordinator()
