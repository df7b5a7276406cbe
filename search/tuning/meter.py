"""Measures the resources that running trials hold, segment by segment."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from search.ledger.costs import worked_seconds
from search.ledger.records import Segment
from trainables.messages import EpochReport


class Meter:
    """Measures the segments of running trials, from a start to the end, a failure or an interruption.

    Args:
        demand: resources of one running trial ("CPU", "GPU"); elastic trials always count at their full size.
        clock: returns the time in seconds, which is virtual in simulations. Default: `time.monotonic`.
    """

    def __init__(self, demand: Mapping[str, float], clock: Callable[[], float] | None = None):
        self.demand, self._clock = demand, clock or time.monotonic
        self._running: dict[int, _Running] = {}

    def begin(self, number: int) -> None:
        self._running[number] = _Running(begun=self._clock())

    def epoch(self, number: int, report: EpochReport) -> None:
        running, worked = self._running[number], worked_seconds(report)
        if running.start_seconds is None:
            running.start_seconds = max(0.0, self._clock() - running.begun - worked)
        running.worked += worked

    def end(self, number: int) -> Segment:
        running = self._running.pop(number)
        seconds = self._clock() - running.begun
        start = seconds if running.start_seconds is None else running.start_seconds
        return Segment(
            start_seconds=start,
            wait_seconds=max(0.0, seconds - start - running.worked),
            cpus=self.demand.get("CPU", 0),
            gpus=self.demand.get("GPU", 0),
        )

    @property
    def gpu_seconds(self) -> float:
        """GPU-seconds so far of the trials that are running now."""
        now = self._clock()
        return sum(now - running.begun for running in self._running.values()) * self.demand.get("GPU", 0)


@dataclass
class _Running:
    begun: float
    start_seconds: float | None = None
    worked: float = 0.0
