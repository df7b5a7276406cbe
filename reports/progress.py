"""Progress of long loops: a bar with the time left on a terminal; elsewhere a line after each tenth of the items."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from rich.console import Console
from rich.progress import track

from search.formatting import duration

Item = TypeVar("Item")


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
