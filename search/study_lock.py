"""One driver a study."""

from __future__ import annotations

import getpass
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

LOCK, OWNER = "driver.lock", "driver.json"


@contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Holds the study in that folder, which is made if there is none.

    The lock is the operating system's and ends with the process that holds it, however that ends; a file beside it says
    whose it is.

    Raises:
        ValueError: if another driver holds it, or the folder cannot be written.
    """
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(is_run_by(folder.name, _owner(folder))) from None
    except OSError as error:
        raise ValueError(f"{folder}: cannot write the study there ({error.strerror or error})") from error
    try:
        (folder / OWNER).write_text(json.dumps(this_driver()))
        yield
        (folder / OWNER).unlink(missing_ok=True)
    finally:
        lock.release()


def this_driver() -> dict[str, Any]:
    """Who holds a lock."""
    return {
        "user": getpass.getuser(),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def is_run_by(study: str, driver: dict[str, Any]) -> str:
    """Why another driver is refused."""
    return f"study {study!r} is run by {describe(driver)}: wait, or give another --name"


def driver_of(folder: Path) -> dict[str, Any] | None:
    """Who runs the study in that folder ("user", "host", "process", "since"); None if nobody does."""
    try:
        FileLock(folder / LOCK).acquire(timeout=0).lock.release()
    except Timeout:
        return _owner(folder)
    return None


def _owner(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / OWNER).read_text())
    except (OSError, ValueError):  # it has just begun
        return {}


def describe(driver: dict[str, Any]) -> str:
    if not driver:
        return "another driver"
    return f"{driver['user']} on {driver['host']} (process {driver['process']}) since {driver['since']}"
