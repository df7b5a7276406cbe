"""Runs the loop of a trial in a Ray Train worker group, of fixed or elastic size."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from ray.tune.integration.ray_train import TuneReportCallback
from ray.tune.trainable import wrap_function

from trainables.errors import Preempted
from trainables.launching.launchers import use_threads
from trainables.launching.preemption import this_node
from trainables.launching.ray_private import GroupTrainer, autoscaling_coordinator, draining_nodes, was_preempted
from trainables.messages import Loop, TrialRequest

WAITING_MEMORY = 200 * 2**20
"""Bytes of memory that Ray reserves for the process of a trial, which only waits for its workers."""
START_RETRIES = 20
"""How often an elastic group is started again that does not get its resources within `ray_private.START_SECONDS`."""
PEER_SECONDS = 120
"""Delay of communication errors in seconds, longer than Ray takes to detect a dead node."""


@dataclass(frozen=True, kw_only=True)
class WorkersLauncher:
    """Runs the loop in a Ray Train worker group: DDP over the workers, with the reports of rank 0 forwarded to Tune.

    With `least` the group is elastic: it starts with as many workers as the cluster has resources for, and may grow
    while it runs. A group that fails is not repaired: the trial resumes like any failed trial, after its last epoch and
    with a new group. The batch size is that of the configuration for any number of workers (see `Training`), so the
    size of the group changes only the speed.

    It needs Ray's dashboard, which Ray uses to detect that the controller of a group has died. Without it, the groups
    of trials that died never free their resources.
    """

    workers: int
    """Number of workers; the maximum, if the group is elastic."""
    least: int | None = None
    """Smallest number of workers of an elastic group; None: the size is fixed."""
    cpus: float = 1
    """CPUs of one worker."""
    gpus: float = 0
    """GPUs of one worker."""
    growth_seconds: float = 60
    """Interval in seconds at which a running elastic group checks for resources to grow."""
    reuse_actors: bool = False  # a stopped trial ends its process, which cannot be reused
    queues: bool = True  # a started trial waits until its group has its resources

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
            autoscaling_coordinator()  # created here, so that it runs on the driver's node and not on a trial's
        launcher = self

        def run(config: dict[str, Any]) -> None:
            # State of Ray Train: written by the controller of the group, which runs on this node, and not needed later.
            with tempfile.TemporaryDirectory(prefix="mars-search-", ignore_cleanup_errors=True) as storage:
                train(config, storage)

        def train(config: dict[str, Any], storage: str) -> None:
            from ray.train import FailureConfig, RunConfig, ScalingConfig
            from ray.train.v2.api.exceptions import TrainingFailedError

            group = GroupTrainer(
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
                    # No retries by Ray Train: the search decides which trials resume, after any kind of failure.
                    failure_config=FailureConfig(
                        max_failures=0,
                        controller_failure_limit=START_RETRIES if elastic else 0,
                        max_preemption_failures=0,
                    ),
                ),
            )
            if elastic:
                group.reserve_afresh(f"{study}/{config['number']}")
            try:
                group.fit()
            except TrainingFailedError as error:
                if was_preempted(error):
                    raise Preempted(
                        f"a node of the trial's workers was drained and shut down before they ended: {error}"
                    ) from error
                raise

        class GroupTrial(wrap_function(run)):  # type: ignore[misc]
            def cleanup(self) -> None:
                GroupTrainer.end_current()
                with suppress(Exception):  # the error of the thread that was waiting for the group
                    super().cleanup()

        # The trial's own process only waits. If it reserved a CPU, its workers might wait for that CPU. Tune requires a
        # resource request that is not empty, so it requests the memory of a waiting process.
        return tune.with_resources(GroupTrial, {"cpu": 0, "memory": WAITING_MEMORY})

    def _worker(self, loop: Loop, *, trial_node: str) -> Any:
        """Return the function that each worker runs."""
        cpus = self.cpus

        def train(config: dict[str, Any]) -> None:
            import ray.train
            import torch
            from ray.train.torch import get_device

            from trainables import distributed

            started: float | None = time.perf_counter()
            use_threads(cpus)
            if (device := get_device()).type == "cuda":
                torch.cuda.set_device(device)
            nodes = {this_node(), trial_node}

            def leave_in_time() -> None:
                if distributed.any_of(bool(nodes & draining_nodes()), device):
                    raise Preempted("a node of the trial's workers is being drained")

            with _peers_first():
                leave_in_time()
                for report in loop(TrialRequest(**config)):
                    if started is not None:
                        start = time.perf_counter() - started
                        if not report.restored:
                            start -= report.train_seconds + report.val_seconds
                        report, started = dataclasses.replace(report, start_seconds=max(0.0, start)), None
                    ray.train.report(report.to_dict())
                    if report.ended is None:
                        leave_in_time()

        return train


@contextmanager
def _peers_first() -> Iterator[None]:
    """Delay communication errors of torch.distributed until Ray has detected what died.

    A worker whose peer dies gets a connection error at once. Ray takes longer to detect whether a process or a node
    died, and then ends the group with the actual reason. Without the delay, the connection error would hide it.
    """
    from torch.distributed import DistError

    try:
        yield
    except RuntimeError as error:
        if isinstance(error, DistError) or "/gloo/" in str(error):  # errors of gloo have no class of their own
            time.sleep(PEER_SECONDS)
        raise


class _NewEpochs(TuneReportCallback):
    """Forwards each epoch once: a group that has grown reports epochs again that Tune already has."""

    def __init__(self) -> None:
        super().__init__()
        self._told = 0

    def after_report(self, run_context: Any, metrics: list[dict[str, Any]], checkpoint: Any) -> None:
        if metrics[0]["epoch"] > self._told:
            self._told = metrics[0]["epoch"]
            super().after_report(run_context, metrics, checkpoint)
