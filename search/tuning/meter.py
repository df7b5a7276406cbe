"""Measures the resources that running trials hold, segment by segment."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from search.ledger.costs import worked_seconds
from search.ledger.records import Segment, TrialRecord
from trainables.messages import EpochReport


class Meter:
    """Measures the segments of running trials, from a start to the end, a failure or an interruption.

    Args:
        demand: resources of one running trial ("CPU", "GPU"); elastic trials always count at their full size.
        clock: returns the time in seconds, which is virtual in simulations. Default: `time.monotonic`.
        past: trials of earlier runs.
        queues: whether a trial that has started may wait for its resources, as worker groups do. Until its first
            report nobody knows whether it has them: if it fails before, all its time counts as waiting for them.
    """

    def __init__(
        self,
        demand: Mapping[str, float],
        clock: Callable[[], float] | None = None,
        *,
        past: Iterable[TrialRecord] = (),
        queues: bool = False,
    ):
        self.demand, self.queues, self._clock = demand, queues, clock or time.monotonic
        self._running: dict[int, _Running] = {}
        self._measured = {record.number for record in past if record.segments and not record.segments[-1].running}
        """Numbers of the trials whose last segment was measured to its end."""
        self._killed = {
            record.number: record.segments[-1].gpus
            for record in past
            if record.segments and record.segments[-1].running
        }
        """By number of a trial whose last segment ended with its driver, the GPUs that it held."""

    def begin(self, number: int) -> Segment:
        """Begin a segment, and return what is known of it: its resources."""
        self._running[number] = _Running(begun=self._clock())
        return self._segment(start_seconds=0.0, wait_seconds=0.0)

    def epoch(self, number: int, report: EpochReport) -> None:
        running, worked = self._running[number], worked_seconds(report)
        if running.start_seconds is None:
            started = self._clock() - running.begun - (0.0 if report.restored else worked)
            # Below 0, the epoch was trained in the segment before, and reported only now.
            if number not in self._measured:
                started = max(0.0, started)
            running.start_seconds = started
            if report.start_seconds is not None and started > report.start_seconds:
                running.start_seconds = report.start_seconds
                running.queue_seconds = started - report.start_seconds
        if not report.restored:
            running.worked += worked
        elif number in self._measured:
            # The segment before has counted the epoch's seconds: this one must not count them again.
            running.start_seconds -= worked
            running.worked += worked
        else:
            running.earlier_gpu_seconds += worked * self._killed.get(number, self.demand.get("GPU", 0))

    def end(self, number: int) -> Segment:
        running = self._running.pop(number)
        self._measured.add(number)
        if running.start_seconds is None and self.queues:  # nothing says that it held its resources
            running.queue_seconds = self._clock() - running.begun
        seconds = self._clock() - running.begun - running.queue_seconds
        start = seconds if running.start_seconds is None else running.start_seconds
        return self._segment(
            start_seconds=start,
            wait_seconds=max(0.0, seconds - start - running.worked),
            queue_seconds=running.queue_seconds,
        )

    def _segment(self, start_seconds: float, wait_seconds: float, queue_seconds: float = 0.0) -> Segment:
        return Segment(
            start_seconds=start_seconds,
            wait_seconds=wait_seconds,
            queue_seconds=queue_seconds,
            cpus=self.demand.get("CPU", 0),
            gpus=self.demand.get("GPU", 0),
        )

    @property
    def gpu_seconds(self) -> float:
        """GPU-seconds so far of the trials that are running now; those that may still be queueing do not count.

        They include epochs that were trained under a killed driver and reported in a trial's present segment.
        """
        now = self._clock()
        held = (
            now - running.begun - running.queue_seconds
            for running in self._running.values()
            if not self.queues or running.start_seconds is not None
        )
        earlier = sum(running.earlier_gpu_seconds for running in self._running.values())
        return sum(held) * self.demand.get("GPU", 0) + earlier


@dataclass
class _Running:
    begun: float
    start_seconds: float | None = None
    queue_seconds: float = 0.0
    worked: float = 0.0
    earlier_gpu_seconds: float = 0.0
