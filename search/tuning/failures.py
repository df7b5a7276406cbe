"""Why a trial's process broke, from the text that Ray keeps of it."""

from __future__ import annotations

import re

from search.ledger.records import Failure
from trainables.errors import NodeMismatchError, OutOfMemory, Preempted, StorageError

NOT_COUNTED = ("out_of_memory", "memory_pressure", "node_lost", "node_unfit", "not_started", "storage")
"""Kinds that no configuration is to blame for. Out of memory has its own limit, a batch of single images, and memory
pressure another, `MOST_PRESSED`."""
MOST_PRESSED = 5
"""Times that a trial's process may be ended because its machine's memory was full, while others still reported."""

_MARKS = {
    "memory_pressure": ("killed due to the node running low on memory",),  # Ray's words
    "out_of_memory": (f"{OutOfMemory.__module__}.{OutOfMemory.__name__}",),
    "storage": (f"{StorageError.__module__}.{StorageError.__name__}",),
    "node_unfit": (f"{NodeMismatchError.__module__}.{NodeMismatchError.__name__}",),
    "node_lost": (
        f"{Preempted.__module__}.{Preempted.__name__}",
        "its node has died",  # Ray's words, preempted ones included
        "The actor is temporarily unavailable",
    ),
    "not_started": ("The actor never ran", "The worker group startup timed out"),
    "process_lost": ("The actor died",),
}
"""What the text of each kind holds: errors cross several of Ray's wrappers, which keep text but not type."""


def failure(text: str, epoch: int, *, preempted: bool = False) -> Failure:
    """The failure of a trial whose last reported epoch is given.

    `preempted`: its process died with a drained node, of which the text says nothing.
    """
    kind = next((kind for kind, marks in _MARKS.items() if any(mark in text for mark in marks)), "error")
    if preempted:
        kind, text = "node_lost", f"{text}\nIts node was drained, and gone before the trial was."
    if kind == "memory_pressure":
        text = _memory(text)
    return Failure(kind=kind, epoch=epoch, message=text)


def _memory(text: str) -> str:
    """What Ray's memory monitor said, without its list of other programs and their command lines."""
    found = re.search(r"Memory on the node \(IP: ([^,)]+).*?\) was ([\d.]+)GB used / ([\d.]+)GB limit", text)
    how = f": {found[2]} of {found[3]} GB of {found[1]} were used" if found else ""
    return f"Ray ended its process because the machine's memory was full{how}"


def root_message(broken: Failure) -> str:
    """What the error itself said, of the text that Ray keeps of it."""
    for mark in _MARKS.get(broken.kind, ()):
        _, found, rest = broken.message.partition(f"{mark}: ")
        if found:
            return rest.splitlines()[0]
    return broken.message
