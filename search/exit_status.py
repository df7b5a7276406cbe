"""Exit codes of the commands, and the message for an error that the user can correct."""

from __future__ import annotations

import sys

from search.formatting import clean

USER_ERROR, INTERRUPTED = 2, 130


def refuse(error: ValueError) -> int:
    """Print an error that the user can correct, and return the exit code for it."""
    print(f"error: {clean(str(error))}", file=sys.stderr)
    return USER_ERROR


BROKEN = 1
"""Exit code of a run that ended because something outside it has to be repaired first."""
