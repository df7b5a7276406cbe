"""Addresses of Ray clusters: where the user has named one, and whether something listens there."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from search.ray_cluster.temporary_folder import ray_folder

VARIABLE = "RAY_ADDRESS"
ANSWERS_WITHIN = 10.0
"""Seconds in which the head node must accept a connection; Ray itself would try for minutes."""
HTTP_2, SETTINGS = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""How a connection to a gRPC server begins (RFC 9113, section 3.4): the server's first frame is of the same type, 4."""


def cluster_address(option: str | None) -> str | None:
    """Return the address of the cluster that the option or RAY_ADDRESS names; None if Ray is to start here."""
    address = option or os.environ.get(VARIABLE) or None
    return None if address == "local" else address


def named(address: str, option: str | None = None) -> str:
    """Return an address as the user has given it: as the option, or in the environment."""
    return f"{VARIABLE}={address}" if option is None and os.environ.get(VARIABLE) == address else f"--address {address}"


def remedy(address: str, option: str | None = None) -> str:
    """Return what to do where nothing listens."""
    unset = f", or unset {VARIABLE} to use this machine alone" if named(address, option).startswith(VARIABLE) else ""
    return f"check the address and that the cluster is running{unset}"


def check_listens(address: str, option: str | None = None) -> None:
    """Check that something listens at an address, so that Ray does not try for minutes.

    Args:
        address: "auto", or the host:port of a head.
        option: the address of the option, if it is given; otherwise the address is that of RAY_ADDRESS.

    Raises:
        ValueError: if nothing does; it says where the address is from.
    """
    if address == "auto":
        _check_recorded(named(address, option))
        return
    host, mark, port = address.rpartition(":")
    if "://" in address or not (mark and port.isdigit()):
        raise ValueError(
            f"{named(address, option)}: must be auto, the host:port of a head, or the http://host:port of a dashboard"
        )
    if (why := _unreachable(host, port)) is not None:
        raise ValueError(f"{named(address, option)}: {why}; {remedy(address, option)}")


def _check_recorded(said: str) -> None:
    """Check the address that `ray start` has left on this machine. A head that was killed has not removed it."""
    file = ray_folder(default=Path("/tmp"))[1] / "ray" / "ray_current_cluster"
    try:
        recorded = file.read_text(encoding="utf-8").strip()
    except (OSError, ValueError):
        return  # Ray searches for a head
    host, _, port = recorded.rpartition(":")
    if (why := _unreachable(host, port)) is not None and not _runs_a_head():
        raise ValueError(
            f"{said}: {file} names a head at {recorded}, but {why}; start the cluster (ray start --head), or delete "
            "the file"
        )


def _unreachable(host: str, port: str) -> str | None:
    """Return why no control server can be reached at an address; None if one can."""
    try:
        with socket.create_connection((host.strip("[]"), int(port)), ANSWERS_WITHIN) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(HTTP_2 + SETTINGS)
                if connection.recv(len(SETTINGS))[3:4] != SETTINGS[3:4]:
                    return "another program than Ray responds there"
    except (OSError, OverflowError, ValueError) as error:
        return f"nothing responds there ({error})"
    return None


def _runs_a_head() -> bool:
    """Return whether a control server runs on this machine: Ray takes it, whatever the file says."""
    import psutil  # --help shows where addresses come from, and needs no list of processes

    return any(process.info["name"] == "gcs_server" for process in psutil.process_iter(["name"]))
