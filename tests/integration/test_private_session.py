"""What Ray keeps and runs on this machine is for the user who started it."""

from __future__ import annotations

import ipaddress
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

STARTS = """
import os, pathlib, stat, psutil, ray
from search.ray_cluster.session import start_ray
start_ray(dashboard=False)
session = pathlib.Path(ray._private.worker._global_node.get_session_dir_path())
print("modes", *(oct(stat.S_IMODE(path.stat().st_mode)) for path in (session, pathlib.Path.home() / ".ray/auth_token")))
mine = [child for child in psutil.Process().children() if child.name() in ("gcs_server", "raylet")]
print("apart", sorted(child.name() for child in mine if os.getpgid(child.pid) == child.pid))
print("runs", ray.get(ray.remote(lambda: 7).remote()))
every = [psutil.Process(), *psutil.Process().children(recursive=True)]
print("listens", *{at.laddr.ip for one in every for at in one.net_connections("inet") if at.status == "LISTEN"})
"""


def test_the_session_and_the_token_are_private_and_its_processes_are_in_groups_of_their_own(tmp_path):
    environment = {
        key: value for key, value in os.environ.items() if key not in ("RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
    }
    done = subprocess.run(
        [sys.executable, "-c", STARTS],
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert "modes 0o700 0o600" in done.stdout, done.stderr
    # A signal to the driver's group leaves them to the driver. Ray forks them in a way that this depends on.
    assert "apart ['gcs_server', 'raylet']" in done.stdout, done.stdout + done.stderr
    assert "runs 7" in done.stdout, done.stderr
    (listens,) = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("listens")]
    assert listens
    assert all(ipaddress.ip_address(address.removeprefix("::ffff:")).is_loopback for address in listens), listens
