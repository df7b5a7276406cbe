"""Ray's own processes: those that this process starts, and the control server, without which no other can work."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import ray
import ray._private.ray_constants

LOOKS_EVERY = 1.0
ANSWERS_WITHIN = 5.0
"""Seconds."""
LOCAL_PATIENCE, CLUSTER_PATIENCE = 2.0, 45.0
"""Seconds without an answer: one that was started for this run is never started again."""

_starting = False


def _leave_group() -> None:
    if _starting:
        os.setpgid(0, 0)


os.register_at_fork(after_in_child=_leave_group)


@contextmanager
def own_process_groups() -> Iterator[None]:
    """Each process that starts within gets a process group of its own.

    A signal to the driver's group, as `timeout` and a closed terminal send it, then reaches the driver alone, which
    ends the run as it should. Without that Ray's control server ends first, and the driver waits for it for a minute.
    """
    global _starting
    _starting = True
    try:
        yield
    finally:
        _starting = False


@contextmanager
def on_loopback() -> Iterator[None]:
    """Ray that starts within listens on 127.0.0.1 alone, as it does by default on macOS.

    `ray.init` has no option for it: it replaces an address of the loopback by the machine's own. Ray's other processes
    read the variable below; this one has read it already, when it imported Ray.
    """
    constants = ray._private.ray_constants
    before, os.environ[constants.ENABLE_RAY_CLUSTERS_ENV_VAR] = constants.ENABLE_RAY_CLUSTER, "0"
    constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        constants.ENABLE_RAY_CLUSTER = before
        del os.environ[constants.ENABLE_RAY_CLUSTERS_ENV_VAR]


@contextmanager
def control_server_watched(address: str, patience: float, when_gone: Callable[[], None]) -> Iterator[None]:
    """Call `when_gone`, from a thread, once Ray's control server (GCS) has answered nobody for so long.

    Args:
        address: its host:port.
        patience: seconds; a cluster's server may be started again, and Ray waits a minute for it.
        when_gone: is called once.
    """
    host, _, port = address.rpartition(":")
    over = threading.Event()

    def watch() -> None:
        answered = time.monotonic()
        while not over.wait(LOOKS_EVERY):
            if _answers(host.strip("[]"), int(port)):
                answered = time.monotonic()
            elif time.monotonic() - answered >= patience:
                when_gone()
                return

    thread = threading.Thread(target=watch, name="watch of the control server", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _answers(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), ANSWERS_WITHIN).close()
    except OSError:
        return False
    return True
