"""Runs the quick tests of mutants concurrently, each in a fork of a process that has imported the libraries.

A test run spends most of its time in the imports of torch, Ray and Optuna. Here they are imported once. Each mutant is
tested in a fork of that process, in a copy of the project, whose modules the fork imports anew.
"""

from __future__ import annotations

import importlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import pytest

from tests.mutation.mutants import Mutant

LIBRARIES = [
    "albumentations",
    "cv2",
    "filelock",
    "hypothesis",
    "kornia.losses",
    "matplotlib.pyplot",
    "optuna",
    "optuna.storages",
    "pandas",
    "psutil",
    "pyarrow.csv",
    "pyarrow.fs",
    "ray",
    "ray.cloudpickle",
    "ray.train.torch",
    "ray.tune",
    "ray.tune.schedulers",
    "rich.live",
    "scipy.ndimage",
    "scipy.stats",
    "sklearn.ensemble",
    "tensorboard.backend.event_processing.event_multiplexer",
    "torch",
    "torchmetrics.classification",
    "torch.utils.tensorboard",
]
PATIENCE = 5
"""A test run counts as hanging after PATIENCE times its duration without a mutation plus LEAST_PATIENCE seconds."""
LEAST_PATIENCE = 20.0


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How the tests of a mutant ended."""

    killed: bool
    how: str
    """One of "tests", "timeout" and "survived"."""
    seconds: float
    output: str
    """The end of the tests' output."""


class Slot:
    """A copy of the project in which one mutant at a time is tested."""

    def __init__(self, folder: Path, root: Path):
        self.folder, self.root = folder, root
        self.log = folder.with_suffix(".log")
        self._mutant: Mutant | None = None
        self._pid = 0
        self._begun, self._deadline = 0.0, 0.0
        self._copy()

    def _copy(self) -> None:
        """Copy the files that git tracks, and new files that it does not ignore."""
        shutil.rmtree(self.folder, ignore_errors=True)
        listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        names = subprocess.run(listed, cwd=self.root, capture_output=True, text=True, check=True).stdout
        for name in filter(None, names.split("\0")):
            if (self.root / name).is_file():
                (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(self.root / name, self.folder / name)

    @property
    def busy(self) -> bool:
        return self._pid != 0

    def start(self, mutant: Mutant | None, tests: Sequence[str], expected_seconds: float) -> None:
        """Test a mutant, or the project as it is; `expected_seconds` is the duration of the tests if nothing hangs."""
        self._mutant, self._begun = mutant, time.monotonic()
        self._deadline = self._begun + PATIENCE * expected_seconds + LEAST_PATIENCE
        if mutant is not None:
            self._write(mutant.module, mutant.code)
        self._pid = os.fork()
        if self._pid == 0:
            _test(self.folder, self.root, tests, self.log)

    def poll(self) -> Outcome | None:
        """Return the outcome; None while the tests run."""
        ended, status = os.waitpid(self._pid, os.WNOHANG)
        now = time.monotonic()
        if not ended and now < self._deadline:
            return None
        if not ended:
            self.stop()
        code = os.waitstatus_to_exitcode(status) if ended else None
        self._pid = 0
        if self._mutant is not None:
            self._write(self._mutant.module, (self.root / self._mutant.module).read_text())
        how = "timeout" if code is None else "survived" if code == pytest.ExitCode.OK else "tests"
        output = self.log.read_text(errors="replace")[-3000:]
        if code == pytest.ExitCode.NO_TESTS_COLLECTED:
            raise RuntimeError(f"no tests were run:\n{output}")
        return Outcome(killed=how != "survived", how=how, seconds=now - self._begun, output=output)

    def stop(self) -> None:
        """Kill the running tests with all their processes."""
        if self._pid:
            os.killpg(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)

    def _write(self, module: str, code: str) -> None:
        path = self.folder / module
        path.write_text(code)
        # Python compares only time and size: it could mistake a file that changed twice in a second for the old one.
        for compiled in path.parent.glob(f"__pycache__/{path.stem}.*"):
            compiled.unlink()


def _test(folder: Path, root: Path, tests: Sequence[str], log: Path) -> NoReturn:
    """Run pytest on the copy in the fork, and exit."""
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(folder)
    sys.path[:] = [str(folder), *(path for path in sys.path if Path(path or ".").resolve() != root)]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]
    os.environ["PYTHONPATH"] = str(folder)
    code = pytest.main(
        ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow", "--hypothesis-seed=0", "--tb=line"]
        + [f"--basetemp={folder}.tmp", *tests]
    )
    sys.stdout.flush()
    os._exit(int(code))


def import_libraries() -> None:
    for name in LIBRARIES:
        importlib.import_module(name)


@dataclass(frozen=True, kw_only=True)
class Job:
    """The tests of one mutant, or those of the project as it is."""

    mutant: Mutant | None
    tests: Sequence[str]
    expected_seconds: float


def run_all(jobs: Sequence[Job], slots: Sequence[Slot], tell: Callable[[Job, Outcome], None]) -> None:
    """Run every job; `tell` is called with each job and its outcome when it has ended."""
    waiting = list(reversed(jobs))
    running: dict[Slot, Job] = {}
    try:
        while waiting or running:
            for slot in slots:
                if slot.busy and (outcome := slot.poll()) is not None:
                    tell(running.pop(slot), outcome)
                if not slot.busy and waiting:
                    job = running[slot] = waiting.pop()
                    slot.start(job.mutant, job.tests, job.expected_seconds)
            time.sleep(0.05)
    finally:
        for slot in slots:
            slot.stop()
