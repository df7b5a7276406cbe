"""The cluster that a search runs on: one that runs already, or Ray started on this machine."""

from __future__ import annotations

import logging
import os
import signal
import socket
import tempfile
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import Any

import ray

from search import ROOT
from search.interrupts import Interrupted, raise_if_asked
from search.ray_cluster.processes import apart_from_signals, keep_session_private, on_loopback, say_nothing_of_nodes
from search.ray_cluster.token import keep_token_private, pass_by_proxies

TOKEN_HELP = "every node and client of a cluster needs the same token, in ~/.ray/auth_token or RAY_AUTH_TOKEN"
LONGEST_SOCKET = 107
"""Bytes in a socket's path on Linux."""
SOCKET = b"/ray/session_2000-01-01_00-00-00_000000_0000000/sockets/plasma_store"
"""The longest below Ray's temporary folder, with its date and process."""
ANSWERS_WITHIN = 10.0
"""Seconds in which a cluster's head must take a connection; Ray itself would try for two minutes."""


def start_ray(*, dashboard: bool, address: str | None = None) -> bool:
    """Connect to a cluster, or start Ray on this machine, which listens on 127.0.0.1 alone.

    Args:
        dashboard: whether one is needed, where Ray is started.
        address: "auto" for the cluster that this machine belongs to, or the host:port of its head; without one
            RAY_ADDRESS says it, and without that Ray is started.

    Returns:
        Whether the cluster ran before.

    Raises:
        ValueError: if there is no such cluster, it does not let us in, or Ray cannot start here.
        Interrupted: if a signal asks this process to end meanwhile.
    """
    environment = {
        "PYTHONWARNINGS": "ignore",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        # On a busy machine two workers may take longer than the default minute to start.
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
        # One trial may end while Tune still takes the last one's results in: give its thread time to end.
        "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    }
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # see Stopping
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # a fifth of the driver's time, for files that nobody reads
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # Tune's own progress output; verbose=0 silences the other kind
    # Else Tune starts a trial of a drained node again by itself, from what it was first asked for.
    os.environ["RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE"] = "1"
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # trials that break: the view shows them
    say_nothing_of_nodes()
    pass_by_proxies()
    address = address or os.environ.get("RAY_ADDRESS")
    options: dict[str, Any] = {"address": address}
    if address is None:
        _check_temp_dir()
        keep_token_private()
        # Without an address Ray would join whatever cluster happens to run on this machine.
        options = {"address": "local", "include_dashboard": dashboard, "dashboard_host": "127.0.0.1"}
        if dashboard:
            # The cleaner of worker groups asks this address. Left to look for one, it gives up where a second Ray runs
            # on the machine, and the groups of stopped trials are never freed.
            options["dashboard_port"] = _free_port()
            environment["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{options['dashboard_port']}"
    else:
        _check_answers(address)
    try:
        _init(environment, options)
    except SystemExit:  # of the handler of SIGTERM that Ray sets when it begins
        raise Interrupted(signal.SIGTERM) from None
    except Exception as error:  # Ray raises many kinds, among them Exception itself
        raise_if_asked()
        if address is None:
            said = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"Ray cannot start on this machine ({said}); its logs are in {_temp_dir()[1]}/ray"
            ) from error
        if not isinstance(error, ConnectionError | ray.exceptions.AuthenticationError | RuntimeError):
            raise
        what = "no Ray runs on this machine" if address == "auto" else "no Ray there lets us in"
        raise ValueError(f"--address {address}: {what} ({error}); {TOKEN_HELP}") from error
    if address is None:
        keep_session_private()
    return address is not None


def _init(environment: dict[str, str], options: dict[str, Any]) -> None:
    """Start or join Ray. Its processes start once more where a busy machine takes longer than Ray waits for them."""
    local = options["address"] == "local"
    for tries_left in (1, 0) if local else (0,):
        try:
            # Ray lets worker processes look for modules where the driver started first. That must be the project that
            # the driver runs: not another checkout, nor a folder of the user's with files that are named as packages.
            with chdir(ROOT), apart_from_signals(), on_loopback() if local else nullcontext():
                ray.init(
                    log_to_driver=False,
                    logging_level="ERROR",
                    runtime_env={"env_vars": environment},
                    ignore_reinit_error=True,
                    **options,
                )
            return
        except Exception as error:
            if not tries_left or "timed out during startup" not in str(error):
                raise
            raise_if_asked()
            ray.shutdown()


def _temp_dir() -> tuple[str | None, Path]:
    """The variable that says where Ray's temporary folder is, if one does, and where that is."""
    name = next((name for name in ("RAY_TMPDIR", "TMPDIR") if name in os.environ), None)
    return name, Path(os.environ[name] if name else "/tmp")


def _check_temp_dir() -> None:
    """Raises ValueError if Ray could not have its files and sockets there."""
    name, folder = _temp_dir()
    said = f"{name}={folder}" if name else str(folder)
    if (excess := len(os.fsencode(folder.absolute()) + SOCKET) - LONGEST_SOCKET) > 0:
        raise ValueError(f"{said}: is {excess} bytes too long for Ray's sockets: let RAY_TMPDIR name a shorter folder")
    try:
        (folder / "ray").mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder / "ray"):
            pass
    except OSError as error:
        why = error.strerror or error
        raise ValueError(
            f"{said}: Ray cannot write its files there ({why}): let RAY_TMPDIR name another folder"
        ) from error


def _check_answers(address: str) -> None:
    """Raises ValueError if nothing listens there."""
    if address == "auto":
        return
    host, mark, port = address.rpartition(":")
    if "://" in address or not (mark and port.isdigit()):
        raise ValueError(
            f"--address {address}: neither auto, nor a head's host:port, nor http://host:port to submit to"
        )
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWERS_WITHIN).close()
    except (OSError, OverflowError) as error:
        raise ValueError(f"--address {address}: nothing answers there ({error})") from error


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
