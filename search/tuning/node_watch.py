"""Ends a run whose trials no machine could hold any more."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import ray
from ray import tune

from search.exit_status import BROKEN
from search.formatting import duration
from search.ray_cluster.capacity import able_nodes
from search.tuning.run_end import CONTINUES, Stopping

LOOKS_EVERY = 5.0
"""Seconds."""
LOCAL_TIMEOUT, CLUSTER_TIMEOUT = 30.0, 900.0
"""Seconds without a machine: on a cluster the autoscaler may start one, here Ray itself is gone."""


class NodeWatch(tune.Callback):
    """Stops the run when for so long no living node has had what a process of a trial takes: Tune would wait for ever.

    Args:
        stopping: of this run.
        demand: what a process of a trial takes.
        timeout: seconds.
        local: whether Ray was started for this run, on this machine.
        nodes: gives Ray's nodes as `ray.nodes` does.
        clock: gives seconds.
    """

    def __init__(
        self,
        stopping: Stopping,
        demand: Mapping[str, float],
        timeout: float,
        *,
        local: bool,
        nodes: Callable[[], list[dict[str, Any]]] = ray.nodes,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.stopping, self.demand, self.timeout, self.local = stopping, demand, timeout, local
        self._nodes, self._clock = nodes, clock
        self._looked = self._able = clock()

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        now = self._clock()
        if now - self._looked < LOOKS_EVERY:
            return
        self._looked = now
        if able_nodes(self._nodes(), self.demand):
            self._able = now
        elif now - self._able >= self.timeout:
            what = " and ".join(f"{amount:g} {name}" for name, amount in self.demand.items())
            gone = "Ray on this machine has ended" if self.local else f"no machine of the cluster has {what}"
            self.stopping.stop(f"{gone}, for {duration(self.timeout)} now; once that is put right{CONTINUES}", BROKEN)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Tune's snapshots, which nobody reads: the ledger is the truth
