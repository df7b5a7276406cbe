"""The exit codes of the commands, and the line on a mistake that the user can put right."""

from __future__ import annotations

import sys

from search.formatting import clean

USER_ERROR, INTERRUPTED = 2, 130


def refuse(error: ValueError) -> int:
    """Say what the user can put right; returns the exit code for it."""
    print(f"error: {clean(str(error))}", file=sys.stderr)
    return USER_ERROR


BROKEN = 1
"""Exit code of a run that ended because something outside it has to be put right."""
