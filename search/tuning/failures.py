"""Failures of trials, classified by the error text that Ray keeps."""

from __future__ import annotations

import re

from search.ledger.records import Failure
from trainables.errors import NodeMismatchError, OutOfMemory, Preempted, StorageError

_MARKS = {
    "memory_pressure": ("killed due to the node running low on memory",),  # Ray's words
    "out_of_memory": (f"{OutOfMemory.__module__}.{OutOfMemory.__name__}",),
    "storage": (f"{StorageError.__module__}.{StorageError.__name__}",),
    "node_unfit": (f"{NodeMismatchError.__module__}.{NodeMismatchError.__name__}",),
    "node_lost": (
        f"{Preempted.__module__}.{Preempted.__name__}",
        "its node has died",  # Ray's words, also for preempted nodes
        "The actor is temporarily unavailable",
    ),
    "not_started": ("The actor never ran", "The worker group startup timed out"),
    "process_lost": ("The actor died",),
}
"""Texts that identify each kind: Ray wraps errors several times, which keeps their text but not their type."""


def failure(text: str, epoch: int, *, preempted: bool = False) -> Failure:
    """Return the failure that an error text describes.

    Args:
        text: the error text that Ray keeps.
        epoch: the last epoch that the trial reported.
        preempted: whether the process died with a drained node, which the text does not contain.
    """
    kind = next((kind for kind, marks in _MARKS.items() if any(mark in text for mark in marks)), "error")
    if preempted:
        kind, text = "node_lost", f"{text}\nIts node was drained and went away while the trial was running."
    if kind == "memory_pressure":
        text = _memory(text)
    return Failure(kind=kind, epoch=epoch, message=text)


def _memory(text: str) -> str:
    """Summarize the message of Ray's memory monitor, without its list of other programs and their command lines."""
    found = re.search(r"Memory on the node \(IP: ([^,)]+).*?\) was ([\d.]+)GB used / ([\d.]+)GB limit", text)
    how = f": {found[2]} of {found[3]} GB on {found[1]} were in use" if found else ""
    return f"Ray killed its process because the machine's memory was full{how}"


def root_message(broken: Failure) -> str:
    """Return the message of the original error, without the text that Ray adds."""
    for mark in _MARKS.get(broken.kind, ()):
        _, found, rest = broken.message.partition(f"{mark}: ")
        if found:
            return rest.splitlines()[0]
    return broken.message
