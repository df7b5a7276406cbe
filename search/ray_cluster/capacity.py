"""The capacity of a cluster: the nodes that run now, and those that its autoscaler may start."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from trainables.cpus import usable_cpus
from trainables.launching.launchers import Launcher

AUTOSCALER_CONFIG = Path("~/ray_bootstrap_config.yaml")
"""The configuration that `ray up` writes on the head node for the autoscaler."""

Resources = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ClusterSize:
    """The nodes that a cluster can have at once."""

    fixed: Sequence[Resources]
    """Resources of each node that is always part of the cluster."""
    startable: Sequence[Resources] = ()
    """Resources of each node that the autoscaler may start or has started."""
    most_started: int = 0
    """Maximum number of started nodes at once."""
    joined: bool = False
    """Whether the cluster was running before this process; it may then be shared, and may grow."""

    def total(self, resource: str) -> float:
        """Return the largest amount of a resource that the cluster can have."""
        started = sorted((node.get(resource, 0) for node in self.startable), reverse=True)[: self.most_started]
        return sum(node.get(resource, 0) for node in self.fixed) + sum(started)

    def places(self, demand: Resources) -> int:
        """Return how many processes with this demand fit at once."""
        started = sorted((_places(node, demand) for node in self.startable), reverse=True)[: self.most_started]
        return sum(_places(node, demand) for node in self.fixed) + sum(started)


def cluster_size(*, joined: bool, config: Path = AUTOSCALER_CONFIG) -> ClusterSize:
    """Return the size of the cluster that this process is connected to.

    Args:
        joined: whether the cluster was running before this process. Only then can it have an autoscaler, whose
            configuration is on the head node.
        config: path of the autoscaler's configuration.
    """
    import ray

    alive = [node for node in ray.nodes() if node["Alive"]]
    if joined and (path := config.expanduser()).is_file():
        return _autoscaled(alive, yaml.safe_load(path.read_text(encoding="utf-8")))
    return ClusterSize(fixed=[node["Resources"] for node in alive], joined=joined)


def this_machine() -> ClusterSize:
    """Return the size of the cluster that this machine would be if Ray was started on it."""
    import torch

    return ClusterSize(fixed=[{"CPU": usable_cpus(), "GPU": torch.cuda.device_count()}])


def _autoscaled(alive: list[dict[str, Any]], config: dict[str, Any]) -> ClusterSize:
    head = [node["Resources"] for node in alive if "node:__internal_head__" in node["Resources"]]
    most = config.get("max_workers", 0)
    # Running nodes report their own resources: on-premise, the file may list less than the machines have.
    startable = [node["Resources"] for node in alive if node["Resources"] not in head]
    for name, kind in config["available_node_types"].items():
        if name != config["head_node_type"]:
            startable += [kind.get("resources") or {}] * min(kind.get("max_workers", most), most)
    return ClusterSize(fixed=head, startable=startable, most_started=most, joined=True)


def concurrent_trials(launcher: Launcher, size: ClusterSize) -> int:
    """Return how many trials fit into the cluster at once (0 or more).

    Elastic trials count at their full size, because the first one would use all the room it can, and the others would
    wait for it. If not even one fits at full size, a single trial at its minimum size counts.
    """
    places = size.places(process_demand(launcher))
    return places // launcher.processes or int(places >= launcher.least_processes)


def check_fits(launcher: Launcher, size: ClusterSize) -> None:
    """Raises ValueError if not even one trial fits."""
    advice = "it could never start; lower --cpus-per-trial, --gpus-per-trial or --workers-per-trial"
    for name, most in launcher.demand().items():
        amount = most * launcher.least_processes / launcher.processes
        if amount > size.total(name):
            raise ValueError(
                f"a trial needs {amount:g} {name} but the cluster has {size.total(name):g} in total: {advice}"
            )
    if concurrent_trials(launcher, size) == 0:
        one = " and ".join(f"{amount:g} {name}" for name, amount in process_demand(launcher).items())
        raise ValueError(f"a process of a trial needs {one}, which no node of the cluster has: {advice}")


def process_demand(launcher: Launcher) -> dict[str, float]:
    """Return the resources that each process of a trial needs."""
    return {name: amount / launcher.processes for name, amount in launcher.demand().items() if amount > 0}


def able_nodes(nodes: Sequence[dict[str, Any]], demand: Resources) -> list[dict[str, Any]]:
    """Return the nodes that are alive and could run a process with this demand if nothing else ran on them."""
    return [node for node in nodes if node["Alive"] and _places(node["Resources"], demand) > 0]


def _places(node: Resources, demand: Resources) -> int:
    # The tolerance keeps rounding from costing a place when the demand is a fraction such as 0.1.
    return min((math.floor(node.get(name, 0) / amount + 1e-6) for name, amount in demand.items()), default=1)
