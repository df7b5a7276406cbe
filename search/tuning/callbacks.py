"""Callbacks that follow a study while it runs."""

from __future__ import annotations

from search.ledger.records import TrialRecord
from trainables.messages import EpochReport


class Callback:
    """Follows a study while it runs. Each method is called in the driver after the event is in the ledger."""

    def trial_started(self, record: TrialRecord) -> None: ...

    def epoch_ended(self, record: TrialRecord, report: EpochReport) -> None: ...

    def attempt_failed(self, record: TrialRecord) -> None:
        """Called when an attempt has failed and the trial is going to resume; the record's last failure is this one."""

    def trial_paused(self, record: TrialRecord) -> None:
        """Called when a trial has paused at a rung; it may be promoted later, or end."""

    def trial_ended(self, record: TrialRecord) -> None: ...
