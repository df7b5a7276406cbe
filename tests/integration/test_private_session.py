"""What Ray keeps on this machine is for the user who started it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

STARTS = """
import os, pathlib, stat, ray
from search.connection import start_ray
start_ray(dashboard=False)
session = pathlib.Path(ray._private.worker._global_node.get_session_dir_path())
print("modes", *(oct(stat.S_IMODE(path.stat().st_mode)) for path in (session, pathlib.Path.home() / ".ray/auth_token")))
print("runs", ray.get(ray.remote(lambda: 7).remote()))
"""


def test_the_session_and_the_token_are_private_and_ray_works(tmp_path):
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
    assert "runs 7" in done.stdout, done.stderr
