"""Callbacks: what follows a study while it runs."""

from __future__ import annotations

from search.ledger.records import TrialRecord
from trainables.messages import EpochReport


class Callback:
    """Follows a study while it runs. Each method is called in the driver, after the ledger has the entry of it."""

    def trial_started(self, record: TrialRecord) -> None: ...

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None: ...

    def attempt_failed(self, record: TrialRecord) -> None:
        """It resumes from its last checkpoint; the failure is the last one of its record."""

    def trial_paused(self, record: TrialRecord) -> None:
        """It waits for its promotion; it may start again, or end."""

    def trial_ended(self, record: TrialRecord) -> None: ...
