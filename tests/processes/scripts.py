"""The project's scripts, each in a process of its own that starts at once.

A script spends 5 seconds with the imports of torch, Ray and Optuna before it does anything. Here the fork server of
`multiprocessing` imports them once, and each script runs in a fork of it: with its own arguments, environment, working
directory and signals, as `python SCRIPT ARGUMENTS` does. What a process of its own proves beyond that, the imports in
the order in which the script makes them and what Ray reads of the environment meanwhile, is left to the few tests that
start Python anew.
"""

from __future__ import annotations

import atexit
import itertools
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.processes.tokens import read_environment

ROOT = Path(__file__).resolve().parents[2]

START = "forkserver"
"""The start method of `multiprocessing` by which processes have the libraries at once."""

HANGS_AFTER = 500.0
"""Seconds that no process of a test takes, however busy the machine is."""

_context = multiprocessing.get_context(START)
_context.set_forkserver_preload(["tests.processes.preloaded"])
_numbers = itertools.count()


class Fork:
    """A function that runs in a process of its own, with the methods of `subprocess.Popen` that tests use.

    Args:
        function: one of a module, with arguments that can be pickled. SystemExit is its exit code, as in a script.
        arguments: of it.
        cwd: its working directory.
        logs: a folder for what it prints.
        environment: default: this process's.
    """

    def __init__(
        self,
        function: Callable[..., None],
        arguments: Sequence[Any],
        *,
        cwd: Path,
        logs: Path,
        environment: Mapping[str, str] | None = None,
    ):
        logs.mkdir(parents=True, exist_ok=True)
        stem = logs / f"{next(_numbers)}"
        self._output, self._errors = stem.with_suffix(".stdout"), stem.with_suffix(".stderr")
        self.arguments = list(arguments)
        given = dict(os.environ if environment is None else environment)
        what = (function, self.arguments, str(cwd), given, str(self._output), str(self._errors))
        self._process = _context.Process(target=_run, args=what)
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    @property
    def stdout(self) -> str:
        """What it has printed so far."""
        return _text(self._output)

    @property
    def stderr(self) -> str:
        return _text(self._errors)

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Raises subprocess.TimeoutExpired if it still runs after so many seconds."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.arguments, timeout or 0, self.stdout, self.stderr)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; returns all that it printed."""
        self.wait(timeout)
        return self.stdout, self.stderr

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Script(Fork):
    """A script of the project, started as `python SCRIPT ARGUMENTS` starts it.

    Args:
        script: its path from the project's root.
        arguments: of its command line.
        cwd, logs, environment: as of any `Fork`.
    """

    def __init__(
        self,
        script: str,
        arguments: Sequence[object],
        *,
        cwd: Path,
        logs: Path,
        environment: Mapping[str, str] | None = None,
    ):
        line = [str(ROOT / script), *map(str, arguments)]
        super().__init__(_run_script, line, cwd=cwd, logs=logs, environment=environment)


def run_script(
    script: str,
    arguments: Sequence[object],
    *,
    cwd: Path,
    logs: Path,
    environment: Mapping[str, str] | None = None,
    timeout: float = HANGS_AFTER,
) -> subprocess.CompletedProcess[str]:
    """Run a script to its end, as `subprocess.run` does."""
    running = Script(script, arguments, cwd=cwd, logs=logs, environment=environment)
    try:
        code = running.wait(timeout)
    finally:
        running.kill()
    return subprocess.CompletedProcess(running.arguments, code, running.stdout, running.stderr)


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def _run(
    function: Callable[..., None],
    arguments: Sequence[Any],
    cwd: str,
    environment: dict[str, str],
    output: str,
    errors: str,
) -> None:
    """In the fork: become a process of that environment, and call the function."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    os.setpgid(0, 0)  # as a shell gives each command a process group
    for path, stream in ((output, 1), (errors, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, stream)
        os.close(file)
    read_environment()
    try:
        function(*arguments)
    finally:
        atexit._run_exitfuncs()  # `multiprocessing` would leave them out
        sys.stdout.flush()


def _run_script(script: str, *arguments: str) -> None:
    sys.argv = [script, *arguments]
    sys.path = [str(Path(script).parent), *(path for path in sys.path if path and Path(path) != ROOT)]
    runpy.run_path(script, run_name="__main__")
