"""The Ray session of a search: a connection to a running cluster, or Ray started on this machine."""

from __future__ import annotations

import logging
import os
import signal
import socket
from contextlib import chdir, nullcontext
from typing import Any

import ray

from search import ROOT
from search.interrupts import Interrupted, raise_if_asked
from search.ray_cluster.address import check_listens, cluster_address, named
from search.ray_cluster.processes import apart_from_signals
from search.ray_cluster.temporary_folder import prepare_ray_folder, ray_folder
from search.ray_cluster.token import TOKEN_HELP, keep_token_private, pass_by_proxies
from trainables.cpus import usable_cpus
from trainables.launching.ray_private import on_loopback, session_folder


def start_ray(*, dashboard: bool, address: str | None = None) -> bool:
    """Connect to a cluster, or start Ray on this machine, listening on 127.0.0.1 only.

    Args:
        dashboard: whether to start the dashboard, if Ray is started here.
        address: "auto" for the cluster that this machine is part of, or the host:port of a cluster's head. Default:
            the environment variable RAY_ADDRESS; without it, Ray is started here.

    Returns:
        Whether the cluster was already running.

    Raises:
        ValueError: if there is no such cluster, if it rejects the token, or if Ray cannot start here.
        Interrupted: if a signal to end arrives in the meantime.
    """
    environment = {
        "PYTHONWARNINGS": "ignore",
        "NO_ALBUMENTATIONS_UPDATE": "1",
        # On a busy machine two workers may need longer than the default minute to start.
        "RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S": "600",
        # A trial may end while Tune still processes the previous trial's results: give its thread time to end.
        "TUNE_FUNCTION_THREAD_TIMEOUT_S": "60",
    }
    os.environ["TUNE_DISABLE_SIGINT_HANDLER"] = "1"  # see Stopping
    os.environ["TUNE_DISABLE_AUTO_CALLBACK_LOGGERS"] = "1"  # they cost a fifth of the driver's time for unused files
    os.environ["RAY_AIR_NEW_OUTPUT"] = "0"  # Tune's own progress output; verbose=0 silences the other kind
    # Otherwise Tune restarts a trial of a drained node by itself, with its original request.
    os.environ["RAY_TRAIN_COUNT_PREEMPTION_AS_FAILURE"] = "1"
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # the view shows trials that fail
    pass_by_proxies()
    option, address = address, cluster_address(address)
    options: dict[str, Any] = {"address": address}
    if address is None:
        prepare_ray_folder()
        keep_token_private()
        # Without an address, Ray would join any cluster that happens to run on this machine. Without a number of CPUs,
        # it would count those of the machine, also where this process may use only some of them.
        options = {
            "address": "local",
            "num_cpus": usable_cpus(),
            "include_dashboard": dashboard,
            "dashboard_host": "127.0.0.1",
        }
        if dashboard:
            # Ray's cleanup of worker groups uses this address. If it had to search for one, it would give up on a
            # machine where a second Ray runs, and the worker groups of stopped trials would never be freed.
            options["dashboard_port"] = _free_port()
            environment["RAY_API_SERVER_ADDRESS"] = f"http://127.0.0.1:{options['dashboard_port']}"
    else:
        check_listens(address, option)
    try:
        _init(environment, options)
    except SystemExit:  # raised by the SIGTERM handler that Ray sets during its start
        raise Interrupted(signal.SIGTERM) from None
    except Exception as error:  # Ray raises many types, including Exception itself
        raise_if_asked()
        if address is None:
            said = str(error).strip().partition("\n")[0]
            raise ValueError(
                f"Ray cannot start on this machine ({said}); its logs are in {ray_folder()[1]}/ray"
            ) from error
        if not isinstance(error, ConnectionError | ray.exceptions.AuthenticationError | RuntimeError):
            raise
        what = "no Ray cluster is running on this machine" if address == "auto" else "cannot join the Ray cluster there"
        raise ValueError(f"{named(address, option)}: {what} ({error}); {TOKEN_HELP}") from error
    if address is None:
        session_folder().chmod(0o700)  # by default, all users of the machine can read its sockets and logs
    return address is not None


def _init(environment: dict[str, str], options: dict[str, Any]) -> None:
    """Start or join Ray. If starting locally times out, as on a busy machine, try once more."""
    local = options["address"] == "local"
    for tries_left in (1, 0) if local else (0,):
        try:
            # Worker processes import modules from the driver's working directory first. This must be the project that
            # the driver runs, not another checkout or a folder with files that shadow packages.
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


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
