"""Probes one GPU of the cluster: what the configurations of a plan take, and how many trials are to share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from search.gpu_sharing.choice import best_count, counts, most_trials
from search.gpu_sharing.probe_plan import ProbeConfig, ProbePlan
from search.study.placement import Placement, share
from trainables.config import TrialConfig
from trainables.data import DataSource, PreparedData
from trainables.out_of_memory import is_out_of_memory
from trainables.profiling.footprint import footprint
from trainables.profiling.probe import Device, Measured, Probe

SECONDS_ALONE, SECONDS_SHARED = 2.0, 5.0
"""That a configuration is trained for after its first epoch."""
DIED = (RayActorError, OutOfMemoryError)
"""A process: a configuration may also be too large for the machine's own memory."""


@dataclass(frozen=True, kw_only=True)
class Probed:
    """What a probe found."""

    device: Device
    alone: tuple[tuple[ProbeConfig, Measured | None], ...]
    """None: it does not fit. What is as large as such a one is left out."""
    shared: ProbeConfig
    """The configuration that was trained beside itself."""
    rates: dict[int, float]
    """Images a second of all together, by how many shared the GPU."""
    placement: Placement


def probe(probe_plan: ProbePlan, data: PreparedData, *, cpus: float, tell: Callable[[str], None]) -> Probed:
    """Wait for a GPU, hold it, probe it, and choose. Ray must be running.

    How trials slow each other down is measured with the middle configuration: the small ones gain more by sharing and
    the large ones less, but it is the large ones that take most of a search's time.

    Args:
        probe_plan: of the study.
        data: the study's.
        cpus: of a trial.
        tell: hears what is going on.

    Raises:
        ValueError: if nothing fits.
    """
    with _gpu(data.source, cpus) as gpu:
        alone, device = _alone(gpu, probe_plan, data, tell)
        fitting = [(candidate, measured) for candidate, measured in alone if measured is not None]
        if not fitting:
            raise ValueError(f"--gpus-per-trial auto: no configuration fits into the memory of {device.name}")
        most, reason = most_trials(
            largest=max(measured.memory for _, measured in fitting),
            memory=device.memory,
            cpus_per_gpu=_cpus_per_gpu(),
            cpus_per_trial=cpus,
        )
        shared, measured = next((pair for pair in fitting if pair[0] == probe_plan.middle), fitting[-1])
        rates: dict[int, float] = {}
        for count in counts(most):
            tell(f"{count} side by side")
            rates[count] = _together(gpu, shared.config, measured.micro_batches, count)
            if (best := best_count(rates)) < count:
                reason = f"{count} bring {rates[count] / rates[best] - 1:+.0%} images/s together"
                break
    too_large = min((_size(candidate, data) for candidate, measured in alone if measured is None), default=None)
    placement = Placement(trials_per_gpu=best, device=device.name, reason=reason, too_large=too_large)
    return Probed(device=device, alone=tuple(alone), shared=shared, rates=rates, placement=placement)


StartProbe = Callable[[int], Any]
"""A `Probe` in a process of its own that has one of so many shares of the GPU."""


@contextmanager
def _gpu(source: DataSource, cpus: float) -> Iterator[StartProbe]:
    """One GPU of one node: all that is started runs on it, beside nothing else of the cluster's."""
    # The bundle has one trial's CPUs, so that every node that a trial can run on will do; a probe needs no more than
    # that the CPUs are there, and nothing else runs yet.
    held = placement_group([{"GPU": 1, "CPU": cpus}])
    started = []

    def start(count: int) -> Any:
        remote = ray.remote(Probe).options(
            num_gpus=share(count),
            num_cpus=0,
            scheduling_strategy=PlacementGroupSchedulingStrategy(held, placement_group_bundle_index=0),
        )
        started.append(remote.remote(source, cpus))
        return started[-1]

    try:
        ray.get(held.ready())
        yield start
    finally:
        for actor in started:
            ray.kill(actor)
        remove_placement_group(held)


def _alone(
    gpu: StartProbe, probe_plan: ProbePlan, data: PreparedData, tell: Callable[[str], None]
) -> tuple[list[tuple[ProbeConfig, Measured | None]], Device]:
    """Each configuration by itself."""
    found: list[tuple[ProbeConfig, Measured | None]] = []
    process = gpu(1)
    try:
        device = ray.get(process.device.remote())
    except RayActorError as error:
        raise ValueError(f"--gpus-per-trial auto: no process starts on the GPU's node ({error})") from error
    for candidate in probe_plan.each():
        if any(measured is None and _size(candidate, data) >= _size(larger, data) for larger, measured in found):
            continue
        tell(candidate.label)
        try:
            found.append((candidate, ray.get(process.measure.remote(candidate.config, SECONDS_ALONE))))
        except DIED:
            found.append((candidate, None))
            process = gpu(1)
    ray.kill(process)
    return found, device


def _together(gpu: StartProbe, config: dict[str, Any], micro_batches: int, count: int) -> float:
    """Images a second of so many processes that train the same configuration at the same time; 0 if they cannot."""
    processes = [gpu(count) for _ in range(count)]
    try:
        ray.get([process.warm_up.remote(config, micro_batches) for process in processes])
        return sum(ray.get([process.rate.remote(SECONDS_SHARED) for process in processes]))
    except DIED:
        return 0.0
    except RayTaskError as error:
        if not is_out_of_memory(error):
            raise
        return 0.0
    finally:
        for process in processes:
            ray.kill(process)


def _size(candidate: ProbeConfig, data: PreparedData) -> int:
    return footprint(TrialConfig.from_flat(candidate.config), data).bytes()


def _cpus_per_gpu() -> float:
    """On the node that has the fewest: trials come to all."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU", 0) > 0]
    return min(node.get("CPU", 0) / node["GPU"] for node in nodes)
