"""Ray's own processes: how this process starts them, and the control server, without which no other can work.

What the driver must do to private parts of Ray stands here. tests/integration/test_private_session.py tells when a new
Ray changes them.
"""

from __future__ import annotations

import errno
import functools
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import ray
import ray._private.ray_constants

LOOKS_EVERY = 1.0
ANSWERS_WITHIN = 5.0
"""Seconds."""
LOCAL_PATIENCE, CLUSTER_PATIENCE = 2.0, 45.0
"""Seconds: a control server that was started for this run is never started again, one of a cluster may be."""
UNREACHABLE = (errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN)

_starting = False


@functools.cache
def _prepare_children() -> None:
    """Ray starts its processes by `subprocess` with a `preexec_fn`, with which Python calls this in the child."""
    os.register_at_fork(after_in_child=lambda: os.setpgid(0, 0) if _starting else None)


@contextmanager
def apart_from_signals() -> Iterator[None]:
    """Start Ray within: signals that are for the driver then do what the driver does with them.

    Each process that starts has a process group of its own: a signal to the driver's group, as `timeout` and a closed
    terminal send it, reaches the driver alone. Else Ray's control server ends first, and the driver waits for it for a
    minute. Ray's handler for SIGTERM prints a stack to standard error, which therefore leads nowhere until the driver's
    own handler is back; what else Ray has to say while it starts, it raises.
    """
    global _starting
    _prepare_children()
    handler = signal.getsignal(signal.SIGTERM)
    with _no_standard_error():
        _starting = True
        try:
            yield
        finally:
            _starting = False
            if threading.current_thread() is threading.main_thread():  # elsewhere Ray sets none
                signal.signal(signal.SIGTERM, handler)


@contextmanager
def _no_standard_error() -> Iterator[None]:
    try:
        kept = os.dup(2)
    except OSError:  # there is none
        yield
        return
    with Path(os.devnull).open("wb") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


@contextmanager
def on_loopback() -> Iterator[None]:
    """Ray that starts within listens on 127.0.0.1 alone, as it does by default on macOS.

    `ray.init` has no option for it: it replaces an address of the loopback by the machine's own. Ray's other processes
    read the variable below; this one has read it already, when it imported Ray.
    """
    constants = ray._private.ray_constants
    name = constants.ENABLE_RAY_CLUSTERS_ENV_VAR
    constant, variable = constants.ENABLE_RAY_CLUSTER, os.environ.get(name)
    constants.ENABLE_RAY_CLUSTER, os.environ[name] = False, "0"
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = constant
        del os.environ[name]
        if variable is not None:
            os.environ[name] = variable


def keep_session_private() -> None:
    """Close the folder of the Ray that this process started to others: Ray lets all users read its sockets and logs."""
    Path(ray._private.worker._global_node.get_session_dir_path()).chmod(0o700)


def say_nothing_of_nodes() -> None:
    """Keep Ray from printing a page of its log for each node that dies: the view says what that did to trials."""
    ray._private.worker.print_to_stdstream = lambda *_, **__: None


@contextmanager
def control_server_watched(address: str, patience: float, when_gone: Callable[[], None]) -> Iterator[None]:
    """Call `when_gone`, from a thread, once Ray's control server (GCS) is gone.

    It is gone when its port has refused connections for `patience`, or its host has not been reached for
    `CLUSTER_PATIENCE`, which is less than the minute for which Ray waits. A server that is only slow is not gone.

    Args:
        address: its host:port.
        patience: seconds.
        when_gone: is called once.
    """
    host, _, port = address.rpartition(":")
    over = threading.Event()

    def watch() -> None:
        answered = time.monotonic()
        while not over.wait(LOOKS_EVERY):
            limit = _limit(host.strip("[]"), int(port), patience)
            if limit is None:
                answered = time.monotonic()
            elif time.monotonic() - answered >= limit:
                when_gone()
                return

    thread = threading.Thread(target=watch, name="watch of the control server", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _limit(host: str, port: int, patience: float) -> float | None:
    """For how long the server may be as it is now; None if it is there, or this process cannot tell."""
    try:
        socket.create_connection((host, port), ANSWERS_WITHIN).close()
    except ConnectionRefusedError:
        return patience
    except TimeoutError:
        return CLUSTER_PATIENCE
    except OSError as error:  # others are this process's own, such as too many open files
        return CLUSTER_PATIENCE if error.errno in UNREACHABLE else None
    return None
