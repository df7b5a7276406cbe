"""Launchers, which run the loop of a trial with Ray Tune: in the trial's own process, or in a worker group.

A launcher turns a loop (a function from a `TrialRequest` to epoch reports) into a Tune trainable. With every launcher
Tune receives the same reports, one per epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from trainables.messages import Loop, TrialRequest


class Launcher(Protocol):
    """Runs trials, and states the resources that each needs."""

    @property
    def reuse_actors(self) -> bool:
        """Whether Tune may reuse the process of an ended trial for the next one."""
        ...

    @property
    def processes(self) -> int:
        """Number of processes that train a trial together; the maximum, if the trial is elastic."""
        ...

    @property
    def least_processes(self) -> int:
        """Smallest number of processes that can train a trial."""
        ...

    @property
    def queues(self) -> bool:
        """Whether a trial that Tune has started may still wait for its resources."""
        ...

    def demand(self) -> dict[str, float]:
        """Return the resources of a running trial ("CPU", "GPU"), summed over its processes."""
        ...

    def trainable(self, loop: Loop, study: str) -> Any:
        """Return a Tune trainable whose config is a `TrialRequest` as a dict. `study` is unique in the cluster."""
        ...


def use_threads(cpus: float) -> None:
    """Set the number of threads of PyTorch to the number of CPUs, at least 1."""
    import torch

    torch.set_num_threads(max(1, int(cpus)))


@dataclass(frozen=True, kw_only=True)
class InlineLauncher:
    """Runs the loop in the trial's own process: Ray Train's local mode inside a Tune function, with reused processes.

    Reports of local mode do not reach Tune, so the loop reports to Tune directly. A trial whose node is drained ends
    after the current epoch and resumes on another node.
    """

    cpus: float = 1
    """CPUs of a trial."""
    gpus: float = 0
    """GPUs of a trial; fractions share a GPU."""
    reuse_actors: bool = True
    processes: int = 1
    least_processes: int = 1
    queues: bool = False

    def demand(self) -> dict[str, float]:
        return {"CPU": self.cpus, "GPU": self.gpus}

    def trainable(self, loop: Loop, study: str) -> Any:
        cpus = self.cpus

        def run(config: dict[str, Any]) -> None:
            from ray import tune
            from ray.train import ScalingConfig
            from ray.train.torch import TorchTrainer

            from trainables.launching.preemption import leave_in_time, this_node

            def train() -> None:
                use_threads(cpus)
                node = this_node()
                leave_in_time(node)  # the process may be reused, and its node already draining
                for report in loop(TrialRequest(**config)):
                    tune.report(report.to_dict())
                    if report.ended is None:
                        leave_in_time(node)

            TorchTrainer(train, scaling_config=ScalingConfig(num_workers=0)).fit()  # writes no state to disk

        from ray import tune

        return tune.with_resources(run, {"cpu": self.cpus, "gpu": self.gpus})
