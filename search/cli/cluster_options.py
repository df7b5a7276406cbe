"""Options of a search on a cluster, and of looking after its studies."""

from __future__ import annotations

import argparse
import os

from search.cli.option_types import duration, study_name
from search.ray_cluster.token import TOKEN


def add_cluster_options(top: argparse.ArgumentParser) -> None:
    cluster = top.add_argument_group("cluster")
    cluster.add_argument(
        "--address",
        metavar="ADDRESS",
        help="http://host:port of a cluster's dashboard: submit the search there, and show it here; auto or host:port, "
        "on a machine of the cluster: run it from this process (default: RAY_ADDRESS, else Ray on this machine)",
    )
    cluster.add_argument(
        "--node-timeout",
        type=duration,
        metavar="TIME",
        help="end the run when for so long no machine of the cluster could hold a trial (default: 15m, which leaves "
        "an autoscaler time to start one; 30s where Ray was started for this run)",
    )
    asked = cluster.add_mutually_exclusive_group()
    asked.add_argument(
        "--status",
        nargs="?",
        const=True,
        type=study_name,
        metavar="NAME",
        help="show how the study stands, with --address the one there; without a name: list the studies",
    )
    asked.add_argument(
        "--stop",
        type=study_name,
        metavar="NAME",
        help="end the run of the study: running trials end their epoch; the same command resumes them later",
    )
    asked.add_argument(
        "--rename", nargs=2, type=study_name, metavar=("OLD", "NEW"), help="rename a study that is not running"
    )
    asked.add_argument(
        "--delete",
        type=study_name,
        metavar="NAME",
        help="delete a study that is not running, with its checkpoints and its report; asks first",
    )
    asked.add_argument(
        "--logs", type=study_name, metavar="NAME", help="show what the study there has said, and follow it"
    )
    cluster.add_argument("--yes", action="store_true", help="delete without asking")
    cluster.add_argument(
        "--view",
        choices=("auto", "events"),
        default="auto",
        help="events: a JSON line an event instead of a live view or plain lines, for programs; not with http:// "
        "(default: auto)",
    )


def prepare_to_join() -> None:
    """Set what Ray reads from the environment when it is imported, and joins a cluster that runs."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "error")  # else a refused token is a page of warnings
    if "RAY_AUTH_TOKEN" in os.environ or "RAY_AUTH_TOKEN_PATH" in os.environ or TOKEN.expanduser().exists():
        os.environ.setdefault("RAY_AUTH_MODE", "token")  # else Ray would not show it


def submission_address(options: argparse.Namespace) -> str | None:
    """The address of the cluster that the search or the question goes to as a job; None where there is none."""
    address = options.address or os.environ.get("RAY_ADDRESS", "")
    return address if address.startswith(("http://", "https://")) else None


def without_address(arguments: list[str]) -> list[str]:
    """The command line without --address."""
    only = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    only.add_argument("--address")
    return only.parse_known_args(arguments)[1]
