"""Probes one GPU of the cluster: the cost of each configuration of a plan, and how many trials should share it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import OutOfMemoryError, RayActorError, RayTaskError
from ray.util.placement_group import placement_group, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from search.gpu_sharing.probe_plan import ProbeConfig, ProbePlan
from search.gpu_sharing.trials_per_gpu import best_count, counts, most_trials
from search.study.gpu_share import Placement, share
from trainables.config import TrialConfig
from trainables.data import DataSource, PreparedData
from trainables.memory_errors import is_out_of_memory
from trainables.profiling.footprint import footprint
from trainables.profiling.probe import Device, Measured, Probe

SECONDS_ALONE, SECONDS_SHARED = 2.0, 5.0
"""Seconds for which a configuration is trained after its first epoch."""
DIED = (RayActorError, OutOfMemoryError)
"""Errors when the process dies, for example because a configuration is too large for the machine's main memory."""


@dataclass(frozen=True, kw_only=True)
class Probed:
    """The result of a probe."""

    device: Device
    alone: tuple[tuple[ProbeConfig, Measured | None], ...]
    """Measurement of each configuration; None if it does not fit. Configurations at least as large are left out."""
    shared: ProbeConfig
    """The configuration of which several copies were trained at once."""
    rates: dict[int, float]
    """Total images per second, by number of trials that shared the GPU."""
    placement: Placement


def probe(probe_plan: ProbePlan, data: PreparedData, *, cpus: float, tell: Callable[[str], None]) -> Probed:
    """Wait for a GPU, reserve it, probe it, and choose how many trials share it. Ray must be running.

    The middle configuration measures how much concurrent trials slow each other down: smaller ones gain more from
    sharing, larger ones less, but the larger ones take most of a search's time.

    Args:
        probe_plan: the study's configurations to probe.
        data: the study's data.
        cpus: number of CPUs of a trial.
        tell: called with a message about each step.

    Raises:
        ValueError: if no configuration fits into the GPU's memory, or no process starts on its node.
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
            tell(f"concurrent trials: {count}")
            rates[count] = _together(gpu, shared.config, measured.micro_batches, count)
            if (best := best_count(rates)) < count:
                reason = f"{count} change the total images/s by {rates[count] / rates[best] - 1:+.0%}"
                break
    too_large = min((_size(candidate, data) for candidate, measured in alone if measured is None), default=None)
    placement = Placement(trials_per_gpu=best, device=device.name, reason=reason, too_large=too_large)
    return Probed(device=device, alone=tuple(alone), shared=shared, rates=rates, placement=placement)


StartProbe = Callable[[int], Any]
"""Starts a `Probe` in its own process with 1/n of the GPU, for a given n."""


@contextmanager
def _gpu(source: DataSource, cpus: float) -> Iterator[StartProbe]:
    """Reserve one GPU of one node, on which all the probe's processes run, and nothing else of the cluster."""
    # The bundle has the CPUs of one trial, so that any node that can run a trial is suitable. Several processes may
    # share them during a probe, because nothing else runs yet.
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
    """Measure each configuration by itself; return the measurements and the device."""
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
    """Return the total images per second of `count` processes that train a configuration at once; 0 if they cannot."""
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
    """Return the CPUs per GPU on the node that has the fewest, because trials run on all nodes."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"] and node["Resources"].get("GPU", 0) > 0]
    return min(node.get("CPU", 0) / node["GPU"] for node in nodes)
