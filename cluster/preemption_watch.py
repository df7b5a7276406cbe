"""Tells Ray that this machine is about to be taken away, as soon as its cloud says so.

Runs on each spot machine, beside Ray and with nothing but Ray installed:

    python preemption_watch.py aws    # two minutes of warning
    python preemption_watch.py gcp    # thirty seconds

Ray itself never asks. The node is drained: nothing starts there any more, and trials that run there go on elsewhere
from their last epoch. Ends when Ray has been told.
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
"""Both clouds advise to ask about so often."""
GCP_SECONDS = 30


def ask(url: str, method: str = "GET", **headers: str) -> str | None:
    """The metadata service's answer, or None where it has nothing under that name.

    Raises:
        OSError: if it does not answer.
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
    """Seconds until the machine is taken away; None if it is not."""
    token = ask(f"{address}/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
    notice = ask(f"{address}/latest/meta-data/spot/instance-action", X_aws_ec2_metadata_token=token or "")
    if notice is None:
        return None
    then = datetime.strptime(json.loads(notice)["time"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    return max(0.0, (then - datetime.now(UTC)).total_seconds())


def gcp(address: str) -> float | None:
    """Seconds until the machine is taken away; None if it is not."""
    answer = ask(f"{address}/computeMetadata/v1/instance/preempted", Metadata_Flavor="Google")
    return GCP_SECONDS if answer is not None and answer.strip() == "TRUE" else None


CLOUDS = {"aws": (aws, "http://169.254.169.254"), "gcp": (gcp, "http://metadata.google.internal")}


def drain(seconds: float, node_id: str | None) -> int:
    """Have Ray drain a node, by default the one on this machine. Returns the exit code of `ray drain-node`."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "drain-node"]
    command += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--reason-message", "the cloud takes the machine away"]
    command += ["--deadline-remaining-seconds", str(int(seconds))]
    return subprocess.run(command + (["--node-id", node_id] if node_id else [])).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cloud", choices=CLOUDS)
    parser.add_argument("--metadata", metavar="URL", help="of the metadata service (default: the cloud's)")
    parser.add_argument("--node-id", metavar="ID", help="Ray's id of the node (default: the one on this machine)")
    options = parser.parse_args()
    taken_in, address = CLOUDS[options.cloud]
    silent = False
    while True:
        try:
            seconds = taken_in((options.metadata or address).rstrip("/"))
        except OSError as error:
            if not silent:
                print(f"the metadata service does not answer ({error}); asking on", file=sys.stderr, flush=True)
            silent, seconds = True, None
        else:
            silent = False
        if seconds is not None:
            print(f"this machine is taken away in {seconds:.0f} s: draining", flush=True)
            if drain(seconds, options.node_id) == 0:
                return 0
        time.sleep(INTERVAL_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
