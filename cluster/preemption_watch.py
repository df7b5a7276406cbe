"""Drains the Ray node of this machine as soon as its cloud announces that the machine will be preempted.

Runs on each spot machine, beside Ray, and needs no package except Ray:

    python preemption_watch.py aws    # two minutes before the preemption
    python preemption_watch.py gcp    # thirty seconds before the preemption

Ray itself does not watch for preemptions. Nothing new starts on a drained node, and its running trials resume elsewhere
from their last epoch. The watch ends when Ray has accepted the drain request.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime

INTERVAL_SECONDS = 5.0
"""Seconds between two requests to the metadata service, about as often as both clouds recommend."""
GCP_SECONDS = 30
"""Seconds between the notice of Google Cloud and the preemption."""


def ask(url: str, method: str = "GET", **headers: str) -> str | None:
    """Return the response of the metadata service, or None if it has no entry at the URL.

    Raises:
        OSError: if it does not respond.
    """
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, headers=named), timeout=5) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return None
        raise


def aws(address: str) -> float | None:
    """Return the seconds until the machine is preempted; None if no preemption is announced."""
    token = ask(f"{address}/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
    notice = ask(f"{address}/latest/meta-data/spot/instance-action", X_aws_ec2_metadata_token=token or "")
    if notice is None:
        return None
    then = datetime.strptime(json.loads(notice)["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())


def gcp(address: str) -> float | None:
    """Return the seconds until the machine is preempted; None if no preemption is announced."""
    answer = ask(f"{address}/computeMetadata/v1/instance/preempted", Metadata_Flavor="Google")
    return GCP_SECONDS if answer is not None and answer.strip() == "TRUE" else None


CLOUDS = {"aws": (aws, "http://169.254.169.254"), "gcp": (gcp, "http://metadata.google.internal")}


def drain(seconds: float, node_id: str | None) -> int:
    """Drain a node, by default the one on this machine. Returns the exit code of `ray drain-node`."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "drain-node"]
    command += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "the cloud preempts the machine"]
    command += ["--deadline-remaining-seconds", str(int(seconds))]
    return subprocess.run(command + (["--node-id", node_id] if node_id else [])).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cloud", choices=CLOUDS, help="cloud that the machine runs in")
    parser.add_argument("--metadata", metavar="URL", help="URL of the metadata service (default: the cloud's)")
    parser.add_argument("--node-id", metavar="ID", help="Ray's ID of the node (default: the node on this machine)")
    options = parser.parse_args()
    taken_in, address = CLOUDS[options.cloud]
    silent = False
    while True:
        try:
            seconds = taken_in((options.metadata or address).rstrip("/"))
        except OSError as error:
            if not silent:
                print(f"the metadata service does not respond ({error}); retrying", file=sys.stderr, flush=True)
            silent, seconds = True, None
        else:
            silent = False
        if seconds is not None:
            print(f"this machine will be preempted in {seconds:.0f} s: draining its node", flush=True)
            if drain(seconds, options.node_id) == 0:
                return 0
        time.sleep(INTERVAL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
