"""The progress of a running study: counts, speed, time left, the best trial."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

from search.ledger.records import TrialRecord
from search.tuning.callbacks import Callback
from trainables.messages import EpochReport
from trainables.prediction.metric import MEAN_IOU, Metric

MAX_EPOCHS = "training.max_epochs"


@dataclass
class ProgressState(Callback):
    """Follows a study and keeps the numbers that the views show.

    Args:
        budget: total number of trials of the study.
        time_budget: maximum duration of this run in seconds; None: no limit.
        past: trials of earlier runs.
        expected_epochs: number of epochs that this run is expected to train; None: unknown.
        metric: what the scores are.
    """

    budget: int
    time_budget: float | None
    past: list[TrialRecord]
    expected_epochs: int | None = None
    metric: Metric = MEAN_IOU
    counts: Counter[str] = field(default_factory=Counter)
    running: dict[int, tuple[TrialRecord, EpochReport | None]] = field(default_factory=dict)
    paused: set[int] = field(default_factory=set)
    """Numbers of the paused trials."""
    best: TrialRecord | None = None
    best_score: float | None = None
    epochs: int = 0
    """Number of epochs of this run."""
    started: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        for record in self.past:
            if record.has_ended:
                self._count(record)
            else:
                self._consider(record, record.score)

    def trial_started(self, record: TrialRecord) -> None:
        self.running[record.number] = (record, record.reports[-1] if record.reports else None)
        self.paused.discard(record.number)

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None:
        self.running[record.number] = (record, report)
        self.epochs += 1
        if not report.diverged:
            self._consider(record, report.score)

    def attempt_failed(self, record: TrialRecord) -> None:
        self.running.pop(record.number, None)

    def trial_paused(self, record: TrialRecord) -> None:
        self.running.pop(record.number, None)
        self.paused.add(record.number)

    def trial_ended(self, record: TrialRecord) -> None:
        self.running.pop(record.number, None)
        self.paused.discard(record.number)
        self._count(record)

    def _count(self, record: TrialRecord) -> None:
        self.counts[record.state] += 1
        if record.audited is not None and self.expected_epochs is not None:
            # An audited trial was expected to train to its last epoch. It may have failed, or ended early.
            self.expected_epochs -= max(0, record.config.get(MAX_EPOCHS, 0) - record.reported_epochs)
        self._consider(record, record.score)

    def _consider(self, record: TrialRecord, score: float | None) -> None:
        if score is not None and (self.best_score is None or score > self.best_score):
            self.best, self.best_score = record, score

    @property
    def ended(self) -> int:
        return sum(self.counts.values())

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def epochs_per_second(self) -> float:
        return self.epochs / max(self.seconds, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Estimated seconds until the run ends, from the epochs still expected, the speed so far, and the time budget.

        At least one epoch is expected of each trial that has not ended. None if neither is known: before the first
        epoch, without a time budget.
        """
        limits = []
        if self.expected_epochs is not None and self.epochs:
            left = max(self.expected_epochs - self.epochs, self.budget - self.ended) if self.ended < self.budget else 0
            limits.append(left / self.epochs_per_second)
        if self.time_budget is not None:
            limits.append(max(0.0, self.time_budget - self.seconds))
        return min(limits, default=None)
