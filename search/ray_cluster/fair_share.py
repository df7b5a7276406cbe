"""Studies that run on one cluster at the same time share it evenly."""

from __future__ import annotations

import math
import time
from contextlib import suppress

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

NAMESPACE = "studies"
LOOK_SECONDS = 10.0


class FairShare:
    """How many trials this study may run side by side, as other studies come and go.

    Each driver holds an actor that takes nothing and ends with it: its name says how many trials the study wants.

    Args:
        study: its name.
        wanted: trials side by side at most.
        places: trials that fit into the cluster, as this study's trials are.
    """

    def __init__(self, study: str, *, wanted: int, places: int):
        self.wanted, self.places = wanted, places
        self._share, self._looked = wanted, 0.0
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        name = f"{wanted}/{study}-{time.time_ns()}"
        self._present = (
            ray.remote(_Present).options(num_cpus=0, name=name, namespace=NAMESPACE, scheduling_strategy=here).remote()
        )

    def __call__(self) -> int:
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            with suppress(RayError):  # a head that does not answer: the share stays as it was
                self._share = self._due()
        return self._share

    def _due(self) -> int:
        named = ray.util.list_named_actors(all_namespaces=True)
        wanted = [int(actor["name"].partition("/")[0]) for actor in named if actor["namespace"] == NAMESPACE]
        return share(self.wanted, wanted, self.places)


class _Present:
    pass


def share(own: int, wanted: list[int], places: int) -> int:
    """What is due to one that wants `own` places of so many; what others leave is shared by the rest.

    Args:
        own: places that it wants.
        wanted: places that each wants, this one included.
        places: in all.
    """
    left = places
    for rank, want in enumerate(sorted(wanted)):
        even = max(1, math.ceil(left / (len(wanted) - rank)))
        if want >= even:
            return min(own, even)
        left -= want
    return own
