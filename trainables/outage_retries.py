"""Repeats an operation that failed for a reason that may pass, such as an outage of a server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

Result = TypeVar("Result")


def retry(action: Callable[[], Result], *, pauses: Iterable[float], passes: Callable[[Exception], bool]) -> Result:
    """Call an action until it succeeds, and return its result.

    Args:
        action: must do no harm when it is repeated after a failure.
        pauses: seconds to wait after each failure; there is one more attempt than there are pauses.
        passes: returns whether an error may pass, so that another attempt makes sense. It is asked after every failure
            that is followed by a pause.

    Raises:
        Exception: that of the last attempt, or the first one that does not pass.
    """
    for pause in pauses:
        try:
            return action()
        except Exception as error:
            if not passes(error):
                raise
        time.sleep(pause)
    return action()
