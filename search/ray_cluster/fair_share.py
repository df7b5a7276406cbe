"""Fair sharing of a cluster among the studies that run on it at the same time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from search.ray_cluster.capacity import ClusterSize, process_demand
from trainables.launching.launchers import Launcher

NAMESPACE = "studies"
LOOK_SECONDS = 10.0
NO_LIMIT = 10**6
"""What a study wants that takes as many trials as it gets."""
WAITS = "the cluster has no room left beside the studies that began earlier; trials start as soon as there is"


@dataclass(frozen=True, kw_only=True, order=True)
class Claim:
    """What a running study wants of the cluster; ordered by the time when it began."""

    begun: int
    """Time in nanoseconds."""
    wanted: int
    """Maximum number of concurrent trials."""
    processes: int
    """Number of processes of a trial."""
    cpus: float
    """CPUs of each process."""
    gpus: float
    """GPUs of each process."""
    study: str

    def name(self) -> str:
        return f"{self.begun}/{self.wanted}/{self.processes}/{self.cpus!r}/{self.gpus!r}/{self.study}"

    @classmethod
    def read(cls, name: str) -> Claim:
        """Raises ValueError if no driver of this version wrote the name."""
        begun, wanted, processes, cpus, gpus, study = name.split("/", 5)
        return cls(
            begun=int(begun),
            wanted=int(wanted),
            processes=int(processes),
            cpus=float(cpus),
            gpus=float(gpus),
            study=study,
        )

    @property
    def demand(self) -> dict[str, float]:
        """Resources of each process."""
        return {name: amount for name, amount in (("CPU", self.cpus), ("GPU", self.gpus)) if amount > 0}


class FairShare:
    """The number of trials that this study may run at once now: other studies start and end, nodes come and go.

    Each driver keeps a named actor that needs no resources and ends with the driver. The actor's name is the claim of
    its study.

    Args:
        study: name of the study.
        launcher: has the resources of a trial.
        size: returns the size of the cluster now.
        wanted: maximum number of concurrent trials of this study; None: as many as fit.
        tell: called with a message when there is no room for this study.
    """

    def __init__(
        self,
        study: str,
        launcher: Launcher,
        size: Callable[[], ClusterSize],
        *,
        wanted: int | None,
        tell: Callable[[str], None],
    ):
        each = process_demand(launcher)
        self.claim = Claim(
            begun=time.time_ns(),
            wanted=wanted or NO_LIMIT,
            processes=launcher.processes,
            cpus=each.get("CPU", 0.0),
            gpus=each.get("GPU", 0.0),
            study=study,
        )
        self._size, self._tell, self._waits = size, tell, False
        self._share, self._looked = self.claim.wanted, 0.0
        here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
        options = {"num_cpus": 0, "name": self.claim.name(), "namespace": NAMESPACE, "scheduling_strategy": here}
        self._present = ray.remote(_Present).options(**options).remote()

    def __call__(self) -> int:
        if time.monotonic() - self._looked > LOOK_SECONDS:
            self._looked = time.monotonic()
            with suppress(RayError):  # the head does not respond: keep the last share
                self._share = self._due()
                if self._share == 0 and not self._waits:
                    self._tell(WAITS)
                self._waits = self._share == 0
        return self._share

    def _due(self) -> int:
        claims = {self.claim}
        for actor in ray.util.list_named_actors(all_namespaces=True):
            if actor["namespace"] == NAMESPACE:
                with suppress(ValueError):  # of another version
                    claims.add(Claim.read(actor["name"]))
        if len(claims) == 1 and self.claim.wanted != NO_LIMIT:
            return self.claim.wanted  # trials that do not fit yet are what makes an autoscaler start nodes
        size = self._size()
        if size.places(self.claim.demand) < self.claim.processes:
            return 1  # nothing fits at full size now: an elastic trial may start smaller, others wait in Ray's queue
        return shares(claims, size)[self.claim]


class _Present:
    pass


def shares(claims: Iterable[Claim], size: ClusterSize) -> dict[Claim, int]:
    """Return how many trials each study may run at once.

    One trial after the other is given to the study with the smallest dominant share, the first of equal ones to begin,
    until no further trial is wanted or fits. A study's dominant share is the fraction that it holds of that resource of
    which it holds the largest fraction (Ghodsi et al. 2011, Dominant Resource Fairness). So the trials of all studies
    fit into the cluster together; a study whose trial does not fit beside the others may get none.
    """
    total = {name: size.total(name) for name in ("CPU", "GPU")}
    room = dict(total)
    limits = {claim: min(claim.wanted, size.places(claim.demand) // claim.processes) for claim in claims}
    given = dict.fromkeys(limits, 0)

    def dominant(claim: Claim) -> float:
        each = (amount / total[name] for name, amount in claim.demand.items())
        return given[claim] * claim.processes * max(each, default=0.0)

    while open_claims := [claim for claim in limits if given[claim] < limits[claim] and _fits(claim, room)]:
        claim = min(open_claims, key=lambda claim: (dominant(claim), claim))
        given[claim] += 1
        for name, amount in claim.demand.items():
            room[name] -= amount * claim.processes
    return given


def _fits(claim: Claim, room: Mapping[str, float]) -> bool:
    # The tolerance keeps rounding from costing a place when the demand is a fraction such as 0.1.
    return all(amount * claim.processes <= room[name] + 1e-6 for name, amount in claim.demand.items())
