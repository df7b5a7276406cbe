"""How a trial's loop is run under Ray Tune: in the trial's own process, or by a group of workers.

A launcher turns a loop, that is a function from a `TrialRequest` to epoch reports, into a Tune trainable. Whichever
launcher runs it, Tune receives the same reports, one an epoch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from trainables.epoch_report import EpochReport


@dataclass(frozen=True, kw_only=True)
class TrialRequest:
    """What the search asks of a trial."""

    number: int
    """The trial's number in its study."""
    config: dict[str, Any]
    """Its configuration in the flat form of `TrialConfig`."""
    told_epochs: int = 0
    """Epochs that the ledger already knows: a resumed trial reports those behind them."""
    micro_batches: int = 1
    """Parts of a batch that are computed one after the other, to spare memory."""


WAITING_MEMORY = 200 * 2**20
"""Bytes that Ray sets aside for a trial's process that waits for its workers."""

Loop = Callable[[TrialRequest], Iterator[EpochReport]]


class Launcher(Protocol):
    """How trials are run, and what each needs of the cluster."""

    @property
    def reuse_actors(self) -> bool:
        """Whether Tune may run the next trial in the process of an ended one."""
        ...

    @property
    def processes(self) -> int:
        """That a trial trains in, equal ones."""
        ...

    def demand(self) -> dict[str, float]:
        """Resources of one running trial ("CPU", "GPU"), over all its processes."""
        ...

    def trainable(self, loop: Loop, storage: str) -> Any:
        """A Tune trainable whose config is a `TrialRequest` as a dict. `storage`: folder for Ray's own state."""
        ...


def _use_threads(cpus: float) -> None:
    import torch

    torch.set_num_threads(max(1, int(cpus)))


@dataclass(frozen=True, kw_only=True)
class InlineLauncher:
    """The loop in the trial's own process: Ray Train's local mode inside a Tune function, processes reused.

    Local mode reports to nobody, so the loop's reports go to Tune directly.
    """

    cpus: float = 1
    gpus: float = 0
    reuse_actors: bool = True
    processes: int = 1

    def demand(self) -> dict[str, float]:
        return {"CPU": self.cpus, "GPU": self.gpus}

    def trainable(self, loop: Loop, storage: str) -> Any:
        cpus = self.cpus

        def run(config: dict[str, Any]) -> None:
            from ray import tune
            from ray.train import RunConfig, ScalingConfig
            from ray.train.torch import TorchTrainer

            def train() -> None:
                _use_threads(cpus)
                for report in loop(TrialRequest(**config)):
                    tune.report(report.to_dict())

            TorchTrainer(
                train, scaling_config=ScalingConfig(num_workers=0), run_config=RunConfig(storage_path=storage)
            ).fit()

        from ray import tune

        return tune.with_resources(run, {"cpu": self.cpus, "gpu": self.gpus})


@dataclass(frozen=True, kw_only=True)
class WorkersLauncher:
    """The loop in a Ray Train worker group: DDP over the workers, the first worker's reports forwarded to Tune.

    Needs Ray's dashboard: from it the group's cleaner learns that the group's controller is gone; without it the groups
    of trials that ASHA stopped keep their resources for ever.
    """

    workers: int
    cpus: float = 1
    """CPUs of one worker."""
    gpus: float = 0
    """GPUs of one worker."""
    reuse_actors: bool = False  # an ASHA stop ends the process that would be reused

    @property
    def processes(self) -> int:
        return self.workers

    def demand(self) -> dict[str, float]:
        return {"CPU": self.workers * self.cpus, "GPU": self.workers * self.gpus}

    def trainable(self, loop: Loop, storage: str) -> Any:
        launcher = self

        def train(config: dict[str, Any]) -> None:
            import ray.train
            import torch
            from ray.train.torch import get_device

            _use_threads(launcher.cpus)
            if (device := get_device()).type == "cuda":
                torch.cuda.set_device(device)
            for report in loop(TrialRequest(**config)):
                ray.train.report(report.to_dict())

        def run(config: dict[str, Any]) -> None:
            from ray import tune
            from ray.train import FailureConfig, RunConfig, ScalingConfig
            from ray.train.torch import TorchTrainer
            from ray.tune.integration.ray_train import TuneReportCallback

            TorchTrainer(
                train,
                train_loop_config=config,
                scaling_config=ScalingConfig(
                    num_workers=launcher.workers,
                    use_gpu=launcher.gpus > 0,
                    resources_per_worker={"CPU": launcher.cpus, "GPU": launcher.gpus},
                ),
                run_config=RunConfig(
                    name=f"train-{tune.get_context().get_trial_id()}",
                    storage_path=storage,
                    callbacks=[TuneReportCallback()],
                    failure_config=FailureConfig(max_failures=0, controller_failure_limit=0),
                ),
            ).fit()

        from ray import tune

        # The Tune function itself only waits: a CPU for it could be the one that its workers wait for. Tune wants it to
        # ask for something, so it asks for the memory of a waiting process.
        return tune.with_resources(run, {"cpu": 0, "memory": WAITING_MEMORY})
