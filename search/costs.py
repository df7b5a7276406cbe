"""What trials cost: where the seconds of each went, and what the whole study took of the machines."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rich.table import Table

from search.leaderboard import ranked
from search.trial_record import Segment, TrialRecord
from search.wording import duration
from trainables.data import PreparedData
from trainables.epoch_report import EpochReport

PARTS = ("start-up", "training", "validation", "checkpoints", "waiting")


class Meter:
    """Measures the segments of running trials: from start to end, or to where a trial broke or was interrupted.

    Args:
        demand: resources of one running trial ("CPU", "GPU"); elastic ones count at their full size throughout.
        clock: gives seconds; of a simulation its virtual ones. Default: the machine's.
    """

    def __init__(self, demand: Mapping[str, float], clock: Callable[[], float] | None = None):
        self.demand, self._clock = demand, clock or time.monotonic
        self._running: dict[int, _Running] = {}

    def begin(self, number: int) -> None:
        self._running[number] = _Running(begun=self._clock())

    def epoch(self, number: int, report: EpochReport) -> None:
        running, worked = self._running[number], _worked(report)
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
        """Of the trials that run now, so far."""
        now = self._clock()
        return sum(now - running.begun for running in self._running.values()) * self.demand.get("GPU", 0)


@dataclass
class _Running:
    begun: float
    start_seconds: float | None = None
    worked: float = 0.0


def _worked(report: EpochReport) -> float:
    return report.train_seconds + report.val_seconds + report.checkpoint_seconds


def seconds_of(record: TrialRecord) -> dict[str, float]:
    """Where a trial's seconds went, by PARTS.

    Of a segment whose driver was killed only the epochs are known.
    """
    return {
        "start-up": sum(segment.start_seconds for segment in record.segments),
        "training": sum(report.train_seconds for report in record.reports),
        "validation": sum(report.val_seconds for report in record.reports),
        "checkpoints": sum(report.checkpoint_seconds for report in record.reports),
        "waiting": sum(segment.wait_seconds for segment in record.segments),
    }


def device_seconds(record: TrialRecord) -> dict[str, float]:
    """CPU and GPU seconds that the trial held, at the resources of its last segment."""
    if not record.segments:
        return {"CPU": 0.0, "GPU": 0.0}
    seconds, last = sum(seconds_of(record).values()), record.segments[-1]
    return {"CPU": seconds * last.cpus, "GPU": seconds * last.gpus}


def saved_epochs(records: list[TrialRecord], max_epochs: int) -> tuple[int, float]:
    """Epochs that stopped trials were spared, and about how many seconds those would have taken."""
    epochs, seconds = 0, 0.0
    for record in records:
        if record.state == "pruned" and record.reports:
            spared = max_epochs - record.told_epochs
            epochs += spared
            seconds += spared * statistics.fmean(map(_worked, record.reports))
    return epochs, seconds


def receipt(records: list[TrialRecord], max_epochs: int, price_per_hour: float | None) -> Table:
    """The study's costs as a terminal table.

    Args:
        records: every trial of the study.
        max_epochs: of a trial.
        price_per_hour: of one GPU, or of one CPU where trials use no GPU; None: no money.
    """
    parts = {part: sum(seconds_of(record)[part] for record in records) for part in PARTS}
    held = {device: sum(device_seconds(record)[device] for record in records) / 3600 for device in ("CPU", "GPU")}
    device = "GPU" if held["GPU"] else "CPU"
    total = sum(parts.values())
    table = Table(title="cost of the study, all runs", title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(justify="right")
    for part, seconds in parts.items():
        table.add_row(part, duration(seconds), f"{seconds / total:.1%}" if total else "")
    table.add_row("all trials", duration(total), f"{held[device]:.2f} {device}-hours", end_section=True)
    epochs, spared = saved_epochs(records, max_epochs)
    stopped = sum(record.state == "pruned" for record in records)
    table.add_row(f"spared by stopping {stopped} trials", duration(spared), f"{epochs} epochs")
    if price_per_hour is not None:
        table.add_row("price", "", f"{held[device] * price_per_hour:.2f}")
    return table


def final_training_seconds(records: list[TrialRecord], data: PreparedData) -> float | None:
    """About how long the best trial's epochs up to its best one take on all labelled images; None without a score.

    As fast as in the search: a report trains one model at a time, with all the cores or the GPU that a trial shared.
    """
    if not (scored := ranked(records)):
        return None
    best = scored[0].best
    assert best is not None
    seconds = sum(report.train_seconds for report in scored[0].reports if report.epoch <= best.epoch)
    return seconds * len(data.images) / max(1, len(data.split["train"]))
