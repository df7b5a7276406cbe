"""Command-line options for searches on a cluster and for managing studies."""

from __future__ import annotations

import argparse
import os

from search.cli.options.option_types import duration, study_name
from search.ray_cluster.token import TOKEN


def add_cluster_options(top: argparse.ArgumentParser) -> None:
    cluster = top.add_argument_group("cluster")
    cluster.add_argument(
        "--address",
        metavar="ADDRESS",
        help="cluster to use: with http://host:port of its dashboard, submit the search as a Ray job and show it here; "
        "with auto or the host:port of its head, on a machine of the cluster, run the driver in this process "
        "(default: RAY_ADDRESS if it is set, otherwise Ray is started on this machine)",
    )
    cluster.add_argument(
        "--node-timeout",
        type=duration,
        metavar="TIME",
        help="end the run when no node of the cluster has been able to run a trial for this long (default: 15m, so "
        "that an autoscaler can start a node; 30s if Ray was started for this run)",
    )
    asked = cluster.add_mutually_exclusive_group()
    asked.add_argument(
        "--status",
        nargs="?",
        const=True,
        type=study_name,
        metavar="NAME",
        help="show the status of a study, or list the studies if no name is given; with --address http://..., those on "
        "that cluster",
    )
    asked.add_argument(
        "--stop",
        type=study_name,
        metavar="NAME",
        help="end the run of a study after the current epoch of each running trial; the same search command resumes "
        "them later",
    )
    asked.add_argument(
        "--rename", nargs=2, type=study_name, metavar=("OLD", "NEW"), help="rename a study that is not running"
    )
    asked.add_argument(
        "--delete",
        type=study_name,
        metavar="NAME",
        help="delete a study that is not running, with its checkpoints and its report, after confirmation",
    )
    asked.add_argument(
        "--logs",
        type=study_name,
        metavar="NAME",
        help="show the output of a study on the cluster, and follow it until its run ends (needs --address http://...)",
    )
    cluster.add_argument("--yes", action="store_true", help="with --delete: do not ask for confirmation")
    cluster.add_argument(
        "--view",
        choices=("auto", "events"),
        default="auto",
        help="output format: auto prints a live view on a terminal and plain lines elsewhere; events prints one JSON "
        "line per event, for other programs, and cannot be combined with --address http://... (default: auto)",
    )


def prepare_to_join() -> None:
    """Set the environment variables that Ray reads when it is imported in order to join a running cluster."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")  # otherwise a rejected token prints a page of warnings
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ or TOKEN.expanduser().exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # otherwise Ray would not send the token


def without_address(arguments: list[str]) -> list[str]:
    """Return the command line without --address."""
    return _without("--address", arguments)


def without_drop_list(arguments: list[str]) -> list[str]:
    """Return the command line without --drop-list."""
    return _without("--drop-list", arguments)


def _without(option: str, arguments: list[str]) -> list[str]:
    only = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    only.add_argument(option)
    return only.parse_known_args(arguments)[1]
