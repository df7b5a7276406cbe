"""The user's home folder, which holds the token, the prepared data and the named places."""

from __future__ import annotations

import os
from pathlib import Path


def check_home() -> None:
    """Raises ValueError if there is none: a container may run as a user id that it does not know."""
    try:
        Path.home()
    except RuntimeError:
        raise ValueError(
            f"HOME is not set, and user id {os.getuid()} has no entry in the user database: set HOME to a folder that "
            "you may write to"
        ) from None
