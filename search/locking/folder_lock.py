"""A lock of the operating system on a study's folder, so that the study has one driver at a time."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil
from filelock import FileLock, Timeout

from search.folders.places import study_not_written
from search.foreign_files import open_regular, parse_json, read_text
from search.home_folder import user_name
from search.locking.small_files import SmallFiles

LOCK, OWNER = "driver.lock", "driver.json"
ASKED_SECONDS = 0.5
"""How long to wait for the lock: `driver_of` in another process holds it for a moment."""


@contextmanager
def study_lock(folder: Path) -> Iterator[None]:
    """Hold the lock of the study in that folder, which is created if it does not exist.

    The lock is the operating system's and ends with the process that holds it, however that ends; a file beside it
    records the holder.

    Raises:
        ValueError: if another driver holds it, or the folder cannot be written.
    """
    lock = FileLock(folder / LOCK)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=ASKED_SECONDS)
        SmallFiles(str(folder)).write(OWNER, json.dumps(this_driver()))
    except Timeout:
        raise ValueError(is_run_by(folder.name, _owner(folder))) from None
    except OSError as error:
        lock.release()
        raise study_not_written(folder, error) from error
    try:
        yield
        (folder / OWNER).unlink(missing_ok=True)
    finally:
        lock.release()


def this_driver() -> dict[str, Any]:
    """Return a record of this process as the holder of a lock."""
    return {
        "user": user_name(),
        "host": socket.gethostname(),
        "process": os.getpid(),
        "since": datetime.now().astimezone().isoformat(timespec="seconds"),
    }


def is_run_by(study: str, driver: dict[str, Any]) -> str:
    """Return the message for a second driver."""
    return f"study {study!r} is run by {describe(driver)}: wait, or give another --name"


def driver_of(folder: Path) -> dict[str, Any] | None:
    """Return who runs the study in that folder ("user", "host", "process", "since"); None if nobody does.

    It needs only permission to read the folder, and creates nothing there.
    """
    try:
        with open_regular(folder / LOCK) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # released when the file is closed
    except BlockingIOError:
        return _owner(folder)
    except OSError:  # no lock file, or no locks on this file system: nobody can hold it
        pass
    return None


def _owner(folder: Path) -> dict[str, Any]:
    """Return the recorded holder of the study; {} if it has just begun, and the record is an earlier driver's."""
    try:
        driver = parse_json(read_text(folder / OWNER))
        since = datetime.fromisoformat(driver["since"]).timestamp()
        if driver["host"] == socket.gethostname() and psutil.Process(driver["process"]).create_time() > since + 1:
            return {}  # another process has this number now
        return {key: driver[key] for key in this_driver()}
    except (OSError, ValueError, KeyError, TypeError, psutil.NoSuchProcess):
        return {}


def describe(driver: dict[str, Any]) -> str:
    if not driver:
        return "another driver"
    return f"{driver['user']} on {driver['host']} (process {driver['process']}) since {driver['since']}"
