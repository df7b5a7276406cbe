from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest
from ray._private import ray_constants
from rich.console import Console

from search import ROOT
from search.cli import search_command
from search.ray_cluster import processes
from search.ray_cluster.processes import CLUSTER_PATIENCE, apart_from_signals, control_server_watched
from trainables.launching.ray_private import on_loopback


def group_of_a_child() -> int:
    """The process group of a process that is started as Ray starts its own."""
    prints = "import os; print(os.getpgid(0) - os.getpid())"
    done = subprocess.run(
        [sys.executable, "-c", prints], preexec_fn=lambda: None, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_only_what_starts_within_has_a_process_group_of_its_own():
    assert group_of_a_child() != 0
    with apart_from_signals():
        assert group_of_a_child() == 0
    assert group_of_a_child() != 0


@pytest.fixture
def server(monkeypatch):
    """A socket that listens."""
    monkeypatch.setattr(processes, "LOOKS_EVERY", 0.02)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


def test_a_control_server_that_answers_is_left_alone_and_one_that_does_not_is_noticed_once(server):
    times, gone = [], threading.Event()

    def when_gone() -> None:
        times.append(1)
        gone.set()

    with control_server_watched(f"127.0.0.1:{server.getsockname()[1]}", 0.2, when_gone):
        assert not gone.wait(0.5)
        server.close()
        assert gone.wait(30)
    assert times == [1]


def test_it_is_not_gone_before_patience_is_over_or_after_the_run(server):
    gone = threading.Event()
    address = f"127.0.0.1:{server.getsockname()[1]}"
    server.close()
    with control_server_watched(address, 3600, gone.set):
        assert not gone.wait(0.3)
        # A connection that hangs keeps no process from ending.
        assert all(each.daemon for each in threading.enumerate() if each.name == "watch of the control server")
    assert not gone.is_set()
    assert all(thread.name != "watch of the control server" for thread in threading.enumerate())


@pytest.mark.parametrize(
    ("number", "code", "why"),
    [(None, 1, "Ray has ended (its control server, GCS, is gone)"), (signal.SIGTERM, 143, "interrupted")],
)
def test_a_run_without_ray_ends_at_once_and_says_why(number, code, why, monkeypatch):
    codes, said = [], []
    monkeypatch.setattr(search_command, "first_signal", lambda: number)
    monkeypatch.setattr(os, "_exit", codes.append)
    search_command._end_without_ray(Console(), said.append)
    assert codes == [code]
    assert said == [f"not finished, {why}: the same command continues the study"]


def test_a_run_without_ray_ends_also_where_its_terminal_is_gone(monkeypatch):
    codes = []

    def fails(text: str) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(search_command, "first_signal", lambda: signal.SIGHUP)
    monkeypatch.setattr(os, "_exit", codes.append)
    with pytest.raises(OSError, match="Input/output"):
        search_command._end_without_ray(Console(), fails)
    assert codes == [129]


@pytest.mark.parametrize(
    ("error", "limit"),
    [
        (None, None),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), 2.0),
        (TimeoutError("timed out"), CLUSTER_PATIENCE),  # a busy server, or a machine without power
        (OSError(errno.EHOSTUNREACH, "no route"), CLUSTER_PATIENCE),
        (OSError(errno.ENETUNREACH, "no network"), CLUSTER_PATIENCE),
        (OSError(errno.EMFILE, "too many open files"), None),
        (OSError(errno.EADDRNOTAVAIL, "no free port"), None),
    ],
)
def test_only_a_refusal_tells_soon_and_what_this_process_lacks_tells_nothing(error, limit, monkeypatch):
    asked = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        asked.append((address, timeout))
        if error is not None:
            raise error
        return socket.socket()

    monkeypatch.setattr("search.ray_cluster.processes.socket.create_connection", connect)
    assert processes._limit("10.0.0.1", 6379, 2.0) == limit
    assert asked == [(("10.0.0.1", 6379), 5.0)]


@pytest.mark.parametrize("before", [None, "1"])
def test_the_users_own_setting_of_rays_addresses_comes_back(before, monkeypatch):
    name = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"
    monkeypatch.delenv(name, raising=False)
    if before is not None:
        monkeypatch.setenv(name, before)
    constant = ray_constants.ENABLE_RAY_CLUSTER
    with on_loopback():
        assert os.environ[name] == "0"
        assert ray_constants.ENABLE_RAY_CLUSTER is False
    assert os.environ.get(name) == before
    assert constant == ray_constants.ENABLE_RAY_CLUSTER


def test_what_rays_handler_prints_is_not_seen_and_the_drivers_handler_comes_back(capfd):
    def handle(number: int, frame: object) -> None: ...

    earlier = signal.signal(signal.SIGTERM, handle)
    try:
        with apart_from_signals():
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as Ray sets its own
            os.write(2, b"*** SIGTERM received at time=1\n")
        assert signal.getsignal(signal.SIGTERM) is handle
    finally:
        signal.signal(signal.SIGTERM, earlier)
    os.write(2, b"interrupted\n")
    assert capfd.readouterr().err == "interrupted\n"


def test_ray_may_start_without_standard_error():
    starts = """
import os
os.close(2)
from search.ray_cluster.processes import apart_from_signals
with apart_from_signals():
    print("started")
"""
    done = subprocess.run([sys.executable, "-c", starts], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    assert done.stdout == "started\n"
