"""Ends a run when no node of the cluster can run its trials any more."""

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
"""Seconds between two checks."""
LOCAL_TIMEOUT, CLUSTER_TIMEOUT = 30.0, 900.0
"""Seconds without a suitable node: on a cluster the autoscaler may start one, locally it means that Ray has ended."""


class NodeWatch(tune.Callback):
    """Ends the run when no live node has been able to run a process of a trial for `timeout`; Tune would wait forever.

    Args:
        stopping: ends this run.
        demand: resources that a process of a trial needs.
        timeout: seconds without a suitable node.
        local: whether Ray was started for this run, on this machine.
        nodes: returns Ray's nodes, as `ray.nodes` does.
        clock: returns the time in seconds.
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
            gone = "Ray on this machine has not run" if self.local else f"no node of the cluster has had {what}"
            self.stopping.stop(f"{gone} for {duration(self.timeout)}; once that is fixed{CONTINUES}", BROKEN)

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's snapshots are never read: the ledger is the source of truth
