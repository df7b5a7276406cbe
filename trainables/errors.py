"""Failures that the configuration of a trial did not cause, and what a search can do about each.

Also lists, and text from outside, in messages.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection

MOST_LISTED = 8
"""Number of items of a list that a message shows."""
LONGEST_ITEM = 400
"""Number of characters of an item that are shown."""
MARK = "\N{REPLACEMENT CHARACTER}"
"""Replaces each character that a terminal would interpret."""
_ACTED_ON = {
    *range(0x20),  # ESC, BEL, backspace, carriage return, ...
    0x7F,
    *range(0x80, 0xA0),  # their one-byte forms: CSI, OSC, ...
    *(0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)),  # change the writing direction
    *(0x2028, 0x2029, 0xFEFF, *range(0x200B, 0x200E), *range(0xE0000, 0xE0080)),  # line breaks and invisible characters
    *range(0xD800, 0xE000),  # surrogates, which cannot be encoded
} - {ord("\n"), ord("\t")}
_MARKS = dict.fromkeys(_ACTED_ON, MARK)


class OutOfMemory(RuntimeError):
    """A training step does not fit in device memory. The same batch in more micro-batches may fit."""


class StorageError(RuntimeError):
    """A checkpoint could not be written or read. No trial can continue until the storage works again."""


class NodeMismatchError(RuntimeError):
    """A node differs from the driver in data, storage or versions. Its trials would fail, or not be comparable."""


class Preempted(RuntimeError):
    """A node that the trial runs on is about to shut down. The trial resumes on another node after its last epoch."""


def listed(items: Collection[object], *, separator: str = ", ", most: int = MOST_LISTED) -> str:
    """Join items, and say of those after the first `most` only how many they are: "a, b, c and 1,990 more".

    For each list in a message whose length depends on the user's files, trials or machines. The choices that an option
    has are listed in full.

    Args:
        items: shown as `str` does; an item longer than LONGEST_ITEM is cut.
        separator: between two items; after one with a line break, the number of the others has a line of its own.
        most: number of items to show.
    """
    text = separator.join(_cut(str(item)) for item in itertools.islice(items, most))
    if (others := len(items) - most) <= 0:
        return text
    gap = separator if "\n" in separator else " "
    return f"{text}{gap}and {others:,} more"


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_ITEM else f"{text[:LONGEST_ITEM]}..."


def clean(text: str) -> str:
    """Replace the characters that a terminal would interpret, except line breaks and tabs; the length stays."""
    return text.translate(_MARKS)
