"""The user's home folder, which holds the token, the prepared data and the named places."""

from __future__ import annotations

import getpass
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


def user_name() -> str:
    """Return the name of this user, or "user id 12345" if neither the environment nor the user database has one."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # OSError from Python 3.13 on
        return f"user id {os.getuid()}"
