"""Ends processes of trials that hang: stopped, deadlocked, or waiting for a file system that does not answer."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import ray
from ray import tune

from search.formatting import duration
from search.ledger.ledger import Ledger
from search.ledger.records import Failure
from trainables.messages import EpochReport

FIRST_SECONDS = 900.0
"""A trial's process may take so long to its first report: it starts, maps the data and trains an epoch."""
LEAST_SECONDS = 120.0
EPOCHS = 10
"""Later reports may take so many times the trial's median epoch, but at least the seconds above."""
STEP_SECONDS = 10.0
"""More does not pass between two looks, as far as trials are concerned: a driver that stood still did not watch."""


@dataclass
class _Watched:
    actor: Callable[[], Any]
    epochs: list[float]
    """Seconds that each of the trial's epochs took."""
    since: float
    """Of the watch's own clock: its start or its last report."""
    reported: bool = field(default=False)
    """Whether this process has."""


class HangWatch(tune.Callback):
    """Kills the process of a trial that reports nothing for too long; the recorder then resumes the trial or fails it.

    Args:
        ledger: of the study.
        timeout: seconds without a report after which a process is killed; before its first one it has
            `FIRST_SECONDS` all the same. Default: by the trial's own epochs.
        clock: gives seconds.
        kill: ends the process of a Ray actor, whatever it does.
    """

    def __init__(
        self,
        ledger: Ledger,
        timeout: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        kill: Callable[[Any], None] = ray.kill,
    ):
        self.ledger, self.timeout = ledger, timeout
        self._clock, self._kill = clock, kill
        self._looked, self._now = clock(), 0.0
        self._watched: dict[int, _Watched] = {}
        self._killed: dict[int, str] = {}
        """What is to be said of each."""

    def failure(self, number: int, epoch: int) -> Failure | None:
        """That of a trial whose process was killed by this, once; None for all others."""
        message = self._killed.pop(number, None)
        return None if message is None else Failure(kind="hung", epoch=epoch, message=message)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = trial.config["number"]
        epochs = [_seconds(report) for report in self.ledger.record(number).reports]
        self._killed.pop(number, None)
        # Tune has no public name for the actor of a trial; a test with a real Ray tells when this changes.
        self._watched[number] = _Watched(lambda: trial.temporary_state.ray_actor, epochs, self._now)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        watched = self._watched[trial.config["number"]]
        watched.since, watched.reported = self._now, True
        watched.epochs.append(_seconds(EpochReport.from_dict(result)))

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._watched.pop(trial.config["number"], None)

    on_trial_error = on_trial_complete

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        now = self._clock()
        self._now += min(now - self._looked, STEP_SECONDS)
        self._looked = now
        for number, watched in list(self._watched.items()):
            limit, why = self._limit(watched)
            actor = watched.actor()
            if self._now - watched.since > limit and actor is not None:
                del self._watched[number]
                self._killed[number] = f"it reported nothing for {duration(limit)} ({why}), and its process was ended"
                self._kill(actor)

    def _limit(self, watched: _Watched) -> tuple[float, str]:
        """Seconds that a trial may take to its next report, and why."""
        if not watched.reported:
            return max(FIRST_SECONDS, self.timeout or 0.0), "its first report of this start"
        if self.timeout is not None:
            return self.timeout, "--hang-timeout"
        median = statistics.median(watched.epochs)
        return max(LEAST_SECONDS, EPOCHS * median), f"its median epoch takes {duration(median)}"

    def __getstate__(self) -> dict[str, Any]:
        return {}  # for Tune's snapshots, which nobody reads: the ledger is the truth


def _seconds(report: EpochReport) -> float:
    return report.train_seconds + report.val_seconds + report.checkpoint_seconds
