"""One driver a study."""

from __future__ import annotations

import fcntl
import getpass
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

from search.foreign_files import open_regular, parse_json, read_text
from search.locking.small_files import SmallFiles

LOCK, OWNER = "driver.lock", "driver.json"
ASKED_SECONDS = 0.5
"""Whoever asks for the driver holds the lock for a moment."""


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
        lock.acquire(timeout=ASKED_SECONDS)
        SmallFiles(str(folder)).write(OWNER, json.dumps(this_driver()))
    except Timeout:
        raise ValueError(is_run_by(folder.name, _owner(folder))) from None
    except OSError as error:
        lock.release()
        raise ValueError(f"{folder}: cannot write the study there ({error.strerror or error})") from error
    try:
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
    """Who runs the study in that folder ("user", "host", "process", "since"); None if nobody does.

    Whoever may read the folder may ask; nothing is made there.
    """
    try:
        with open_regular(folder / LOCK) as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # ends with the file
    except BlockingIOError:
        return _owner(folder)
    except OSError:  # there is none, or the file system has no locks: nobody can hold it
        pass
    return None


def _owner(folder: Path) -> dict[str, Any]:
    """Who wrote that they hold the study; {} if they have just begun, and what is there is an earlier driver's."""
    try:
        driver = parse_json(read_text(folder / OWNER))
        since = datetime.fromisoformat(driver["since"]).timestamp()
        if driver["host"] == socket.gethostname() and psutil.Process(driver["process"]).create_time() > since + 1:
            return {}  # another process has the number by now
        return {key: driver[key] for key in this_driver()}
    except (OSError, ValueError, KeyError, TypeError, psutil.NoSuchProcess):
        return {}


def describe(driver: dict[str, Any]) -> str:
    if not driver:
        return "another driver"
    return f"{driver['user']} on {driver['host']} (process {driver['process']}) since {driver['since']}"
