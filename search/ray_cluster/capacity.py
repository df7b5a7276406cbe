"""How large a cluster can become: what runs now, and what its autoscaler may start."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
import yaml

from trainables.launching.launchers import Launcher

AUTOSCALER_CONFIG = Path("~/ray_bootstrap_config.yaml")
"""What `ray up` leaves on a cluster's head for the autoscaler."""

Resources = Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class ClusterSize:
    """The nodes that a cluster can have at once."""

    fixed: Sequence[Resources]
    """What each node has that is there whatever happens."""
    startable: Sequence[Resources] = ()
    """What each node would have that the autoscaler may start, or has started."""
    most_started: int = 0
    """So many of them at once."""
    joined: bool = False
    """Whether it ran before this process did, and may be shared, or grow."""

    def total(self, resource: str) -> float:
        started = sorted((node.get(resource, 0) for node in self.startable), reverse=True)[: self.most_started]
        return sum(node.get(resource, 0) for node in self.fixed) + sum(started)

    def places(self, demand: Resources) -> int:
        """How many processes with this demand fit at once."""
        started = sorted((_places(node, demand) for node in self.startable), reverse=True)[: self.most_started]
        return sum(_places(node, demand) for node in self.fixed) + sum(started)


def cluster_size(*, joined: bool, config: Path = AUTOSCALER_CONFIG) -> ClusterSize:
    """Of the cluster that this process is connected to.

    Args:
        joined: whether it ran before this process; only then it may have an autoscaler, which is known on its head.
        config: the autoscaler's.
    """
    alive = [node for node in ray.nodes() if node["Alive"]]
    if joined and (path := config.expanduser()).is_file():
        return _autoscaled(alive, yaml.safe_load(path.read_text()))
    return ClusterSize(fixed=[node["Resources"] for node in alive], joined=joined)


def _autoscaled(alive: list[dict[str, Any]], config: dict[str, Any]) -> ClusterSize:
    head = [node["Resources"] for node in alive if "node:__internal_head__" in node["Resources"]]
    most = config.get("max_workers", 0)
    # What runs tells of itself: on machines of one's own the file may say less than they have.
    startable = [node["Resources"] for node in alive if node["Resources"] not in head]
    for name, kind in config["available_node_types"].items():
        if name != config["head_node_type"]:
            startable += [kind.get("resources") or {}] * min(kind.get("max_workers", most), most)
    return ClusterSize(fixed=head, startable=startable, most_started=most, joined=True)


def concurrent_trials(launcher: Launcher, size: ClusterSize) -> int:
    """How many trials fit into a cluster at once, 0 or more.

    Elastic ones are counted at their full size, but for a single one: the first would take all the room that it can
    use, and the others would only wait for it. What they can do without is for the day when machines are lost.
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
                f"a trial asks for {amount:g} {name} but the cluster has {size.total(name):g} in all: {advice}"
            )
    if concurrent_trials(launcher, size) == 0:
        one = " and ".join(f"{amount:g} {name}" for name, amount in process_demand(launcher).items())
        raise ValueError(f"a process of a trial asks for {one}, which no node of the cluster has: {advice}")


def process_demand(launcher: Launcher) -> dict[str, float]:
    """What each process of a trial takes."""
    return {name: amount / launcher.processes for name, amount in launcher.demand().items() if amount > 0}


def able_nodes(nodes: Sequence[dict[str, Any]], demand: Resources) -> list[dict[str, Any]]:
    """Those of Ray's nodes that are alive and could hold a process with this demand, if nothing else ran there."""
    return [node for node in nodes if node["Alive"] and _places(node["Resources"], demand) > 0]


def _places(node: Resources, demand: Resources) -> int:
    # The tolerance keeps fractions such as 0.1 from losing a place to rounding.
    return min((math.floor(node.get(name, 0) / amount + 1e-6) for name, amount in demand.items()), default=1)
