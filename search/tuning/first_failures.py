"""Ends a search whose first trials all fail for the same reason: more of them would, too."""

from __future__ import annotations

import re

from search.exit_status import BROKEN
from search.ledger.records import TrialRecord
from search.tuning.callbacks import Callback
from search.tuning.run_end import CONTINUES, Stopping

ALIKE = 5
"""Trials, before any has completed or was pruned."""


class FirstFailures(Callback):
    """Stops the run when the study's first trials have all failed alike. Trials that diverge are no such failures.

    Args:
        stopping: of this run.
        past: trials of earlier runs. Those that failed then may have been put right since: they do not count.
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
                f"the first {ALIKE} trials failed alike ({last_line(record)}); once that is put right{CONTINUES}, with "
                "other trials",
                BROKEN,
            )


def reason(record: TrialRecord) -> str:
    """What makes failures alike: their kind, and of errors what they say but for numbers."""
    broken = record.failures[-1]
    return re.sub(r"\d+", "0", last_line(record)) if broken.kind == "error" else broken.kind


def last_line(record: TrialRecord) -> str:
    """What an error says, without the stack."""
    lines = (record.error or "").strip().splitlines()
    return lines[-1].strip() if lines else "no message"
