"""The order of trials by score."""

from __future__ import annotations

from search.ledger.records import TrialRecord


def ranked(records: list[TrialRecord]) -> list[TrialRecord]:
    """Return the trials that have a score, best first; equal ones by number."""
    scored = [record for record in records if record.score is not None]
    return sorted(scored, key=lambda record: (-(record.score or 0.0), record.number))
