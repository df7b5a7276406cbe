"""How a trial's loop is run under Ray Tune: in the trial's own process, or by a group of workers.

A launcher turns a loop, that is a function from a `TrialRequest` to epoch reports, into a Tune trainable. Whichever
launcher runs it, Tune receives the same reports, one an epoch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from trainables.launching.preemption import leave_in_time, this_node
from trainables.messages import Loop, TrialRequest


class Launcher(Protocol):
    """How trials are run, and what each needs of the cluster."""

    @property
    def reuse_actors(self) -> bool:
        """Whether Tune may run the next trial in the process of an ended one."""
        ...

    @property
    def processes(self) -> int:
        """That a trial trains in, equal ones; of an elastic trial, at most."""
        ...

    @property
    def least_processes(self) -> int:
        """That a trial can do with."""
        ...

    def demand(self) -> dict[str, float]:
        """Resources of one running trial ("CPU", "GPU"), over all its processes."""
        ...

    def trainable(self, loop: Loop, study: str) -> Any:
        """A Tune trainable whose config is a `TrialRequest` as a dict. `study` tells studies of a cluster apart."""
        ...


def use_threads(cpus: float) -> None:
    import torch

    torch.set_num_threads(max(1, int(cpus)))


@dataclass(frozen=True, kw_only=True)
class InlineLauncher:
    """The loop in the trial's own process: Ray Train's local mode inside a Tune function, processes reused.

    Local mode reports to nobody, so the loop's reports go to Tune directly. A trial whose node is drained ends after
    its epoch: it resumes elsewhere.
    """

    cpus: float = 1
    gpus: float = 0
    reuse_actors: bool = True
    processes: int = 1
    least_processes: int = 1

    def demand(self) -> dict[str, float]:
        return {"CPU": self.cpus, "GPU": self.gpus}

    def trainable(self, loop: Loop, study: str) -> Any:
        cpus = self.cpus

        def run(config: dict[str, Any]) -> None:
            from ray import tune
            from ray.train import ScalingConfig
            from ray.train.torch import TorchTrainer

            def train() -> None:
                use_threads(cpus)
                node = this_node()
                leave_in_time(node)  # the process may be a reused one, and its node on the way out
                for report in loop(TrialRequest(**config)):
                    tune.report(report.to_dict())
                    if report.ended is None:
                        leave_in_time(node)

            TorchTrainer(train, scaling_config=ScalingConfig(num_workers=0)).fit()  # keeps no state in any folder

        from ray import tune

        return tune.with_resources(run, {"cpu": self.cpus, "gpu": self.gpus})
