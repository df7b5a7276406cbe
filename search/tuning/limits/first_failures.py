"""Ends a search whose first trials all fail for the same reason, because later trials would fail too."""

from __future__ import annotations

import re

from search.exit_status import BROKEN
from search.ledger.records import TrialRecord
from search.tuning.callbacks import Callback
from search.tuning.run_end import CONTINUES, Stopping

ALIKE = 5
"""Number of failed trials that end the run if no trial has completed or was pruned before."""


class FirstFailures(Callback):
    """Ends the run when its first trials have all failed for the same reason. Trials that diverge do not count.

    Args:
        stopping: ends this run.
        past: trials of earlier runs. Failed ones do not count, because their cause may have been fixed since.
    """

    def __init__(self, stopping: Stopping, past: list[TrialRecord]):
        self.stopping = stopping
        self._over = any(record.state in ("complete", "pruned") for record in past)
        self._reasons: list[str] = []

    def trial_ended(self, record: TrialRecord) -> None:
        if record.state != "failed" or not record.failures:
            self._over = True
        if self._over:
            return
        self._reasons.append(reason(record))
        if len(self._reasons) == ALIKE and len(set(self._reasons)) == 1:
            self.stopping.stop(
                f"the first {ALIKE} trials failed for the same reason ({last_line(record)}); once that is "
                f"fixed{CONTINUES}, with new trials",
                BROKEN,
            )


def reason(record: TrialRecord) -> str:
    """Return the reason by which failures are compared: their kind, or the message of an error without its numbers."""
    broken = record.failures[-1]
    return re.sub(r"\d+", "0", last_line(record)) if broken.kind == "error" else broken.kind


def last_line(record: TrialRecord) -> str:
    """Return the last line of a trial's error, without the stack trace."""
    lines = (record.error or "").strip().splitlines()
    return lines[-1].strip() if lines else "no message"
