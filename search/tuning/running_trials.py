"""The trials that run now: the one table of them in a run."""

from __future__ import annotations

from search.ledger.records import TrialRecord


class RunningTrials:
    """The trials that run now, by number.

    The searcher enters a trial when it suggests it; the recorder notes when Tune has started it, and when it has left,
    for whatever reason. Everyone else only asks.
    """

    def __init__(self) -> None:
        self._suggested: set[int] = set()
        self._started: dict[int, TrialRecord | None] = {}

    def suggest(self, number: int) -> None:
        """Enter a trial that Tune is to start."""
        self._suggested.add(number)

    def start(self, number: int) -> None:
        """Note that Tune has started the trial."""
        self._suggested.discard(number)
        self._started[number] = None

    def keep(self, record: TrialRecord) -> None:
        """Keep the record of a started trial as it was at its start."""
        self._started[record.number] = record

    def leave(self, number: int) -> bool:
        """Remove a trial that has ended, paused, failed or been interrupted. Returns whether it had started."""
        self._suggested.discard(number)
        had_started = number in self._started
        self._started.pop(number, None)
        return had_started

    def record(self, number: int) -> TrialRecord:
        """Return the record of a started trial as it was at its start."""
        record = self._started[number]
        assert record is not None
        return record

    @property
    def started(self) -> frozenset[int]:
        """Numbers of the trials that Tune has started."""
        return frozenset(self._started)

    @property
    def numbers(self) -> frozenset[int]:
        """Numbers of the trials that were suggested or started."""
        return self.started | self._suggested
