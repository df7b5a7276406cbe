"""Kills processes of trials that hang: stopped, deadlocked, or waiting for a file system that does not respond."""

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
"""Maximum time until the first report of a trial's process, which must start, map the data and train an epoch."""
LEAST_SECONDS = 120.0
EPOCHS = 10
"""Maximum time until a later report, in multiples of the trial's median epoch, but at least `LEAST_SECONDS`."""
STEP_SECONDS = 10.0
"""Maximum time that counts between two checks, so that trials are not blamed when the driver itself was suspended."""


@dataclass
class _Watched:
    actor: Callable[[], Any]
    epochs: list[float]
    """Seconds of each of the trial's epochs."""
    since: float
    """Time of the process's start or last report, on the watch's own clock."""
    reported: bool = field(default=False)
    """Whether this process has reported."""


class HangWatch(tune.Callback):
    """Kills the process of a trial that reports nothing for too long; the recorder then resumes the trial or fails it.

    Args:
        ledger: the study's ledger.
        timeout: seconds without a report after which a process is killed; until its first report, it always has at
            least `FIRST_SECONDS`. Default: depends on the trial's own epochs.
        clock: returns the time in seconds.
        kill: kills the process of a Ray actor.
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
        """Message for each trial whose process was killed, by the trial's number."""

    def failure(self, number: int, epoch: int) -> Failure | None:
        """Return the failure of a trial whose process this watch has killed, once; None for any other trial."""
        message = self._killed.pop(number, None)
        return None if message is None else Failure(kind="hung", epoch=epoch, message=message)

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = trial.config["number"]
        epochs = [_seconds(report) for report in self.ledger.record(number).reports]
        self._killed.pop(number, None)
        # Tune has no public name for the actor of a trial; a test with a real Ray fails when this changes.
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
                self._killed[number] = f"its process was killed after {duration(limit)} without a report ({why})"
                self._kill(actor)

    def _limit(self, watched: _Watched) -> tuple[float, str]:
        """Return the maximum number of seconds until the trial's next report, and the reason."""
        if not watched.reported:
            return max(FIRST_SECONDS, self.timeout or 0.0), "first report of this attempt"
        if self.timeout is not None:
            return self.timeout, "--hang-timeout"
        median = statistics.median(watched.epochs)
        return max(LEAST_SECONDS, EPOCHS * median), f"its median epoch takes {duration(median)}"

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune's snapshots are never read: the ledger is the source of truth


def _seconds(report: EpochReport) -> float:
    return report.train_seconds + report.val_seconds + report.checkpoint_seconds
