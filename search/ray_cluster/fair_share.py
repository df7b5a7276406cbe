"""Fair sharing of a cluster among the studies that run on it at the same time."""

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
    """The number of trials that this study may run at once, updated as other studies start and end.

    Each driver keeps a named actor that needs no resources and ends with the driver. The actor's name contains the
    number of trials that its study wants.

    Args:
        study: name of the study.
        wanted: maximum number of concurrent trials of this study.
        places: number of this study's trials that fit into the cluster.
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
            with suppress(RayError):  # the head does not respond: keep the last share
                self._share = self._due()
        return self._share

    def _due(self) -> int:
        named = ray.util.list_named_actors(all_namespaces=True)
        wanted = [int(actor["name"].partition("/")[0]) for actor in named if actor["namespace"] == NAMESPACE]
        return share(self.wanted, wanted, self.places)


class _Present:
    pass


def share(own: int, wanted: list[int], places: int) -> int:
    """Return the fair share of a study; what a study does not need is divided among the others.

    Args:
        own: number of places that this study wants.
        wanted: number of places that each study wants, including this one.
        places: total number of places.
    """
    left = places
    for rank, want in enumerate(sorted(wanted)):
        even = max(1, math.ceil(left / (len(wanted) - rank)))
        if want >= even:
            return min(own, even)
        left -= want
    return own
