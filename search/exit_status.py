"""Exit codes of the commands, and the message for an error that the user can correct."""

from __future__ import annotations

import errno
import sys

from search.formatting import clean

USER_ERROR, INTERRUPTED = 2, 130
BROKEN = 1
"""Exit code of a run that ended because something outside it has to be repaired first."""
OUTAGES = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.ESTALE)
"""Errors of a disk that is full or away: the same command works when it is in order."""


def refuse(error: ValueError) -> int:
    """Print an error that the user can correct, and return the exit code for it."""
    print(f"error: {clean(str(error))}", file=sys.stderr)
    return BROKEN if _is_outage(error) else USER_ERROR


def _is_outage(error: BaseException) -> bool:
    """Return whether the error, or one that caused it, is that of a disk that is full or away."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in OUTAGES:
            return True
        cause = cause.__cause__
    return False
