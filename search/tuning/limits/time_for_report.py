"""Ends a search early enough that its best configuration can be trained at full length afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from search.ledger.costs import longest_training_seconds
from search.ledger.records import TrialRecord
from search.tuning.callbacks import Callback
from search.tuning.run_end import Stopping
from trainables.cpus import usable_cpus
from trainables.data import PreparedData
from trainables.messages import EpochReport


class ReportTime(Callback):
    """Ends the run when the time that is left only suffices for the longest training of one configuration.

    How long that takes is estimated from the best epoch that a trial has reported in this run: its configuration is the
    one to train. On a slow machine the search ends as soon as one trial has reached the first rung, and nearly all the
    time is spent on one good training. On a fast machine the search's own time budget ends first.

    Args:
        stopping: ends this run.
        data: the study's data.
        max_epochs: maximum number of epochs of a trial.
        grace_epochs: number of epochs that some trial must have before the run may end.
        speedup: how many times as fast one training is that has the machine to itself, see `alone_speedup`.
        until: when the report must be finished, in seconds since the epoch.
        now: returns the time in seconds since the epoch.
    """

    def __init__(
        self,
        stopping: Stopping,
        data: PreparedData,
        *,
        max_epochs: int,
        grace_epochs: int,
        speedup: float,
        until: float,
        now: Callable[[], float] = time.time,
    ):
        self.stopping, self.data, self.max_epochs, self.grace_epochs = stopping, data, max_epochs, grace_epochs
        self.speedup, self.until, self.now = speedup, until, now
        self._compared = False
        self._best: EpochReport | None = None

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None:
        if report.score is None:
            return
        self._compared |= report.epoch >= self.grace_epochs
        if self._best is None or report.score >= (self._best.score or 0.0):
            self._best = report
        needed = longest_training_seconds(self._best, self.data, self.max_epochs) / self.speedup
        if self._compared and self.now() + needed >= self.until:
            self.stopping.stop("the rest of the time is for training the best configuration at full length", 0)


def alone_speedup(demand: Mapping[str, float], *, cpus: int | None = None) -> float:
    """Estimate how many times as fast a trial's training is in the report, where nothing runs beside it.

    Args:
        demand: resources of one running trial ("CPU", "GPU").
        cpus: number of CPUs that the report may use. Default: those of this process.
    """
    if demand.get("GPU", 0) > 0:
        return max(1.0, 1 / demand["GPU"])
    # Threads share memory bandwidth, and small layers use few of them.
    return max(1.0, ((cpus or usable_cpus()) / demand["CPU"]) ** 0.8)
