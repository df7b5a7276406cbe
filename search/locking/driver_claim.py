"""One driver per study on all machines that share a place: a file there, which the study's driver renews.

The operating system's lock (`search/locking/folder_lock.py`) protects a folder, and on some shared file systems only
on one machine. Where two drivers share only an object store or such a folder, this file keeps the second one out.
"""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from search.folders.places import study_not_written
from search.foreign_files import parse_json
from search.locking.folder_lock import describe, driver_of, is_run_by, this_driver
from search.locking.small_files import SmallFiles

BEAT_SECONDS = 15.0
"""Interval at which a driver renews its file."""
GONE_SECONDS = 90.0
"""A driver on another machine that has not renewed its file for this long is considered gone."""
RELEASE_SECONDS = 15.0
"""Longest time that the end of a run waits for a renewal in progress."""
LOOK_SECONDS = 1.0
"""Interval between two checks of a driver that may be gone."""
PREFIX = "driver-"


class Holder:
    """This driver's claim on a place.

    A driver first writes its own file and then looks for others, so of two that start at the same time at least one
    sees the other. Only files that are there at that time count: a driver that starts later sees this one's file.

    Args:
        place: path or URI that all drivers of the study can access.
        study: name of the study, for messages.
    """

    def __init__(self, place: str, study: str):
        self.place, self.study = place, study
        self._name = f"{PREFIX}{uuid.uuid4().hex}.json"
        self._text = json.dumps(this_driver() | _this_process())
        self._files = SmallFiles(place)
        self._released = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="study-holder", daemon=True)
        self._lost: OSError | None = None
        self._tell_lost: Callable[[OSError], None] = lambda error: None

    def take(self, tell: Callable[[str], None]) -> None:
        """Claim the place. If the driver of another machine may be gone, wait until that is certain.

        Raises:
            ValueError: if another driver holds it.
            OSError: if the place cannot be used.
        """
        self._files.make_place()
        try:
            self._files.write(self._name, self._text)
            for name in self.others():
                self._outlive(name, tell)
        except BaseException:
            self.release()
            raise
        self._thread.start()

    def release(self) -> None:
        """Release the place for another driver."""
        self._released.set()
        if self._thread.is_alive():
            self._thread.join(RELEASE_SECONDS)
        if not self._thread.is_alive():  # else the place hangs: others find the file too old
            with suppress(OSError):
                self._files.delete(self._name)

    def when_lost(self, tell: Callable[[OSError], None]) -> None:
        """Call `tell`, from any thread, if another driver considered this one gone and took the place."""
        self._tell_lost = tell
        if self._lost is not None:
            tell(self._lost)

    def others(self) -> dict[str, int]:
        """Return the files of other drivers at the place, and when each was renewed, in nanoseconds since the epoch."""
        return {
            name: changed
            for name, changed in self._files.changed().items()
            if name.startswith(PREFIX) and name.endswith(".json") and name != self._name
        }

    def is_alive(self, name: str, changed: int) -> bool:
        """Return whether the driver that wrote this file seems to run, without waiting until that is certain."""
        driver = self._driver(name)
        if driver.get("machine") == _machine():
            return not _has_ended(driver)
        return time.time() - changed / 1e9 < GONE_SECONDS

    def _driver(self, name: str) -> dict[str, Any]:
        """Return the driver that wrote that file; {} if the file is not valid."""
        try:
            driver = parse_json(self._files.read(name) or "")
        except ValueError:
            return {}
        kinds = {key: type(value) for key, value in json.loads(self._text).items()}
        whole = isinstance(driver, dict) and all(isinstance(driver.get(key), kind) for key, kind in kinds.items())
        return driver if whole and driver["process"] > 0 else {}

    def _outlive(self, name: str, tell: Callable[[str], None]) -> None:
        """Delete the file of a driver that is gone. Raises ValueError if the driver still runs."""
        driver = self._driver(name)
        here = driver.get("machine") == _machine()
        if not (_has_ended(driver) if here else self._is_silent(name, driver, tell)):
            raise ValueError(is_run_by(self.study, driver))
        self._files.delete(name)

    def _is_silent(self, name: str, driver: dict[str, Any], tell: Callable[[str], None]) -> bool:
        """Return whether a driver on another machine no longer renews its file, by the clock of the place."""
        began, first, told = time.monotonic(), self._files.changed().get(name), False
        while True:
            self._files.write(self._name, self._text)
            changed = self._files.changed()
            if name not in changed:
                return True  # it has just ended
            if changed[name] != first:
                return False
            silent = max((changed[self._name] - changed[name]) / 1e9, time.monotonic() - began)
            if silent > GONE_SECONDS:
                return True
            if not told:
                tell(
                    f"study {self.study!r} is or was run by {describe(driver)}: checking for up to "
                    f"{GONE_SECONDS - silent:.0f} s whether that driver still runs"
                )
                told = True
            time.sleep(LOOK_SECONDS)

    def _beat(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            # A place that is unavailable for a while is so for other drivers too: renew the file when it is back.
            with suppress(OSError):
                if self._name not in self._files.changed() and (others := self.others()):
                    self._lost = OSError(is_run_by(self.study, self._driver(next(iter(others)))))
                    self._tell_lost(self._lost)
                    return
                self._files.write(self._name, self._text)


def is_driven(folder: Path) -> bool:
    """Return whether a driver runs the study in that folder, on this or another machine. It only reads."""
    if driver_of(folder) is not None:
        return True
    holder = Holder(str(folder), folder.name)
    with suppress(OSError):
        return any(holder.is_alive(name, changed) for name, changed in holder.others().items())
    return False


@contextmanager
def held(place: str, study: str, tell: Callable[[str], None]) -> Iterator[Holder]:
    """Hold the place for one driver of the study.

    Raises:
        ValueError: if another driver holds it, or the place cannot be used.
    """
    holder = Holder(place, study)
    try:
        holder.take(tell)
    except OSError as error:
        raise study_not_written(place, error) from error
    try:
        yield holder
    finally:
        holder.release()


def _this_process() -> dict[str, Any]:
    return {"machine": _machine(), "began": psutil.Process().create_time()}


def _machine() -> str:
    """Return what a process number is unique in: the boot of a machine, and the container on it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return socket.gethostname()


def _has_ended(driver: dict[str, Any]) -> bool:
    """Return whether a driver of this machine has ended; another process may have its number now."""
    try:
        process = psutil.Process(driver["process"])
        return abs(process.create_time() - driver["began"]) > 1 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
