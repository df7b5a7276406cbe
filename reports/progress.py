"""Progress of long loops: a bar with the time left on a terminal, elsewhere a line after each tenth of the items; and
the time that a training still takes."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from search.formatting import duration
from search.ledger.costs import worked_seconds
from trainables.messages import EpochReport

Item = TypeVar("Item")
RECENT = 9
"""Number of epochs whose median is taken for those that come."""


def tracked(console: Console, items: Iterable[Item], total: int, what: str) -> Iterator[Item]:
    """Yield the items, and show the progress meanwhile.

    Args:
        console: where the progress is shown.
        items: the items that the caller processes.
        total: number of items.
        what: what the caller does with them, such as "predicting".
    """
    if console.is_terminal:
        yield from track(items, description=what, total=total, console=console, transient=True)
        return
    started, tenth = time.monotonic(), 1
    for done, item in enumerate(items, start=1):
        yield item
        if done * 10 >= total * tenth:
            tenth = done * 10 // total + 1
            left = (time.monotonic() - started) / done * (total - done)
            console.print(f"  {what} {done / total:.0%}  {duration(left)} left", markup=False)


class TimeLeft:
    """Estimates how many seconds a training still takes, from the epochs that it has finished.

    It is n * m, where n is the number of epochs that are left, and m the median of the seconds (training, validation
    and checkpoint) of the last RECENT epochs of the present stage: stages train different parts of the model, and a
    stage that has not begun is assumed to be as fast as the present one. The very first epoch, which also prepares the
    device, is left out as soon as there is another one.

    Args:
        epochs: number of epochs of the whole training.
    """

    def __init__(self, epochs: int):
        self.epochs = epochs
        self._stage = 1
        self._seconds: list[float] = []

    def after(self, report: EpochReport) -> float:
        """Return the estimate after this epoch; to be called once for each epoch, also for those finished earlier."""
        if report.stage != self._stage or report.epoch == 2:
            self._stage, self._seconds = report.stage, []
        self._seconds.append(worked_seconds(report))
        return (self.epochs - report.epoch) * statistics.median(self._seconds[-RECENT:])
