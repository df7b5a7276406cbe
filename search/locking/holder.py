"""One driver a study on all machines that reach the same place: a file there, which its driver renews.

The operating system's lock (`search/locking/lock.py`) is one of a folder, and on some shared file systems one of a
single machine. Where two drivers share no more than an object store or such a folder, this keeps the second one out.
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

from search.foreign_files import parse_json
from search.locking.lock import describe, is_run_by, this_driver
from search.locking.small_files import SmallFiles

BEAT_SECONDS = 15.0
"""A driver renews its file so often."""
GONE_SECONDS = 90.0
"""A driver on another machine that has not renewed its file for so long is gone."""
RELEASE_SECONDS = 15.0
"""A renewal under way has so long to end with the run."""
LOOK_SECONDS = 1.0
"""Between two looks at a driver that may be gone."""
PREFIX = "driver-"


class Holder:
    """This driver's claim on a place.

    Whoever comes writes its own file and then looks for others: of two that come at the same time at least one sees the
    other. What was there at that look counts; who comes later sees this one.

    Args:
        place: a path or URI that all drivers of the study reach.
        study: its name, for messages.
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
        """Hold the place; where another machine's driver may be gone, wait until that is known.

        Raises:
            ValueError: if another driver holds it.
            OSError: if the place cannot be used.
        """
        self._files.make_place()
        try:
            self._files.write(self._name, self._text)
            for name in self._others():
                self._outlive(name, tell)
        except BaseException:
            self.release()
            raise
        self._thread.start()

    def release(self) -> None:
        """Let another driver have the place."""
        self._released.set()
        if self._thread.is_alive():
            self._thread.join(RELEASE_SECONDS)
        if not self._thread.is_alive():  # else the place hangs: the file's age says that nobody is there
            with suppress(OSError):
                self._files.delete(self._name)

    def when_lost(self, tell: Callable[[OSError], None]) -> None:
        """Tell if another driver has taken this one for gone, from whichever thread finds out."""
        self._tell_lost = tell
        if self._lost is not None:
            tell(self._lost)

    def _others(self) -> list[str]:
        return [name for name in self._files.changed() if name.startswith(PREFIX) and name != self._name]

    def _driver(self, name: str) -> dict[str, Any]:
        """Who wrote that file; {} if it does not say."""
        try:
            driver = parse_json(self._files.read(name) or "")
        except ValueError:
            return {}
        kinds = {key: type(value) for key, value in json.loads(self._text).items()}
        whole = isinstance(driver, dict) and all(isinstance(driver.get(key), kind) for key, kind in kinds.items())
        return driver if whole and driver["process"] > 0 else {}

    def _outlive(self, name: str, tell: Callable[[str], None]) -> None:
        """Remove the file of a driver that is gone. Raises ValueError if it is not."""
        driver = self._driver(name)
        here = driver.get("machine") == _machine()
        if not (_has_ended(driver) if here else self._is_silent(name, driver, tell)):
            raise ValueError(is_run_by(self.study, driver))
        self._files.delete(name)

    def _is_silent(self, name: str, driver: dict[str, Any], tell: Callable[[str], None]) -> bool:
        """Whether a driver on another machine renews its file no more. Its file's age is in the place's own time."""
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
                    f"study {self.study!r} is or was run by {describe(driver)}: looking for at most "
                    f"{GONE_SECONDS - silent:.0f} s whether that driver still runs"
                )
                told = True
            time.sleep(LOOK_SECONDS)

    def _beat(self) -> None:
        while not self._released.wait(BEAT_SECONDS):
            # A place that is away for a while is away for others too: this continues when it is back.
            with suppress(OSError):
                if self._name not in self._files.changed() and (others := self._others()):
                    self._lost = OSError(is_run_by(self.study, self._driver(others[0])))
                    self._tell_lost(self._lost)
                    return
                self._files.write(self._name, self._text)


@contextmanager
def held(place: str, study: str, tell: Callable[[str], None]) -> Iterator[Holder]:
    """Holds the place for one driver of the study.

    Raises:
        ValueError: if another driver holds it, or the place cannot be used.
    """
    holder = Holder(place, study)
    try:
        holder.take(tell)
    except OSError as error:
        raise ValueError(f"{place}: cannot write the study there ({error.strerror or error})") from error
    try:
        yield holder
    finally:
        holder.release()


def _this_process() -> dict[str, Any]:
    return {"machine": _machine(), "began": psutil.Process().create_time()}


def _machine() -> str:
    """Where this process's number means what it means here: one boot of one machine, and one container of it."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{socket.gethostname()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not Linux
        return socket.gethostname()


def _has_ended(driver: dict[str, Any]) -> bool:
    """Whether a driver of this machine runs no more; another process may have its number by now."""
    try:
        process = psutil.Process(driver["process"])
        return abs(process.create_time() - driver["began"]) > 1 or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True
