"""The folder for the files and sockets of a Ray that a search starts on this machine."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from search.folders.path_text import check_text
from search.folders.places import check_writable

RAY_VARIABLE = "RAY_TMPDIR"
VARIABLES = (RAY_VARIABLE, "TMPDIR")
"""Environment variables that set the folder; Ray reads the first one that is there."""
LONGEST_SOCKET = 107
"""Maximum length of a socket's path on Linux, in bytes."""
SOCKET = b"/ray/session_2000-01-01_00-00-00_000000_0000000/sockets/plasma_store"
"""The longest socket path below Ray's temporary folder, with the session's date and process ID."""


def default_folder() -> Path:
    """Return the folder of this user where no variable sets one.

    Ray's own default, /tmp/ray, belongs to the user who comes first, and Ray lets every user of the machine replace
    what is in it.
    """
    return Path(f"/tmp/mars-search-{os.getuid()}")


def ray_folder(default: Path | None = None) -> tuple[str | None, Path]:
    """Return the environment variable that sets Ray's temporary folder (None if none does), and the folder."""
    name = next((name for name in VARIABLES if os.environ.get(name)), None)
    return name, Path(os.environ[name]) if name else default or default_folder()


def prepare_ray_folder() -> None:
    """Make Ray use that folder, and create it.

    Raises:
        ValueError: if Ray cannot create its files and sockets there, or if it is another user's.
    """
    name, folder = ray_folder()
    said = f"{name}={folder}" if name else str(folder)
    check_text(str(folder.absolute()))
    if (excess := len(os.fsencode(folder.absolute()) + SOCKET) - LONGEST_SOCKET) > 0:
        raise ValueError(
            f"{said}: the path is {excess} bytes too long for Ray's sockets: set {RAY_VARIABLE} to a shorter path"
        )
    try:
        if name is None:
            _make_private(folder)
        (folder / "ray").mkdir(parents=True, exist_ok=True)
        check_writable(folder / "ray")
    except OSError as error:
        why = error.strerror or error
        raise ValueError(
            f"{said}: Ray cannot write its files there ({why}): set {RAY_VARIABLE} to another folder"
        ) from error
    os.environ[RAY_VARIABLE] = str(folder.absolute())


def _make_private(folder: Path) -> None:
    """Create a folder in a place where every user may create one, for this user only."""
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        raise ValueError(
            f"{folder}: is not a folder of this user, who keeps Ray's files there: set {RAY_VARIABLE} to another folder"
        )
    folder.chmod(0o700)
