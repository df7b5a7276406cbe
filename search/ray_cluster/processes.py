"""Ray's own processes: how this process starts them, and how it watches the control server (GCS)."""

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

LOOKS_EVERY = 1.0
ANSWERS_WITHIN = 5.0
"""Seconds."""
LOCAL_PATIENCE, CLUSTER_PATIENCE = 2.0, 45.0
"""Seconds. A control server that was started for this run is never restarted; that of a cluster may be."""
UNREACHABLE = (errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.ENETDOWN)

_starting = False


@functools.cache
def _prepare_children() -> None:
    """Put processes that Ray starts into process groups of their own.

    Ray starts them by `subprocess` with a `preexec_fn`; Python then calls the function registered here in the child.
    """
    os.register_at_fork(after_in_child=lambda: os.setpgid(0, 0) if _starting else None)


@contextmanager
def apart_from_signals() -> Iterator[None]:
    """Context in which to start Ray, so that signals to the driver reach only the driver.

    Each process that Ray starts gets its own process group. A signal to the driver's group, as sent by `timeout` or a
    closed terminal, then reaches only the driver. Otherwise Ray's control server would end first, and the driver would
    wait a minute for it. Ray's SIGTERM handler prints a stack trace to standard error, so standard error is discarded
    until the driver's own handler is restored; Ray raises its other errors during the start.
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
            if threading.current_thread() is threading.main_thread():  # Ray sets no handler in other threads
                signal.signal(signal.SIGTERM, handler)


@contextmanager
def _no_standard_error() -> Iterator[None]:
    try:
        kept = os.dup(2)
    except OSError:  # no standard error is open
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
def control_server_watched(address: str, patience: float, when_gone: Callable[[], None]) -> Iterator[None]:
    """Call `when_gone` from a thread once Ray's control server (GCS) is gone.

    The server counts as gone when its port has refused connections for `patience` seconds, or when its host has been
    unreachable for `CLUSTER_PATIENCE` seconds, which is less than the minute that Ray waits. A slow server does not
    count as gone.

    Args:
        address: host:port of the server.
        patience: seconds for which the port may refuse connections.
        when_gone: called at most once.
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
    """Return how many seconds the server may stay in its current state; None if it is up or its state is unknown."""
    try:
        socket.create_connection((host, port), ANSWERS_WITHIN).close()
    except ConnectionRefusedError:
        return patience
    except TimeoutError:
        return CLUSTER_PATIENCE
    except OSError as error:  # other errors are this process's own, such as too many open files
        return CLUSTER_PATIENCE if error.errno in UNREACHABLE else None
    return None
