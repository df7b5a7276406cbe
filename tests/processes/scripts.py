"""The project's scripts, each in a process of its own that starts at once.

A script needs 5 seconds for the imports of torch, Ray and Optuna before it does anything. Here the fork server of
`multiprocessing` imports them once, and each script runs in a fork of it: with its own arguments, environment, working
directory and signals, as `python SCRIPT ARGUMENTS` does. This does not test the order of the script's imports, nor what
Ray reads from the environment during them; the few tests that start a new Python do.
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
"""The start method of `multiprocessing` with which processes have the libraries at once."""

HANGS_AFTER = 500.0
"""Seconds after which a process of a test counts as hanging, however busy the machine is."""

_context = multiprocessing.get_context(START)
_context.set_forkserver_preload(["tests.processes.preloaded"])
_numbers = itertools.count()


class Fork:
    """A function in a process of its own, with the methods of `subprocess.Popen` that tests use.

    Args:
        function: a function of a module. SystemExit sets the exit code, as in a script.
        arguments: arguments of the function, which must be picklable.
        cwd: working directory of the process.
        logs: a folder for its output.
        environment: environment of the process; default: this process's.
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
        """Its output so far."""
        return _text(self._output)

    @property
    def stderr(self) -> str:
        return _text(self._errors)

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; raises subprocess.TimeoutExpired if it still runs after `timeout` seconds."""
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self.arguments, timeout or 0, self.stdout, self.stderr)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Wait for its end; returns its output and its errors."""
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
    """A script of the project, started like `python SCRIPT ARGUMENTS`.

    Args:
        script: path of the script from the project's root.
        arguments: arguments of its command line.
        cwd, logs, environment: as for `Fork`.
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
    """Take on the environment, directory and streams in the fork, and call the function."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    os.setpgid(0, 0)  # a process group of its own, as a shell gives each command
    for path, stream in ((output, 1), (errors, 2)):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(file, stream)
        os.close(file)
    read_environment()
    try:
        function(*arguments)
    finally:
        atexit._run_exitfuncs()  # `multiprocessing` does not run them
        sys.stdout.flush()


def _run_script(script: str, *arguments: str) -> None:
    sys.argv = [script, *arguments]
    sys.path = [str(Path(script).parent), *(path for path in sys.path if path and Path(path) != ROOT)]
    runpy.run_path(script, run_name="__main__")
