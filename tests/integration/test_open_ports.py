"""What the processes of a cluster listen on, beside what cluster/README.md says of them."""

from __future__ import annotations

import re
from contextlib import suppress

import psutil
import pytest
import ray

from tests.processes.scripts import ROOT

pytestmark = pytest.mark.slow


def test_the_readme_names_every_process_that_listens(ray_cluster):
    text = (ROOT / "cluster" / "README.md").read_text()
    table = text.partition("| process | purpose | requires the token |\n")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines()[1:] for name in re.findall(r"`([^`]+)`", row.split("|")[1])}
    assert "raylet" in named
    ray.get(ray.remote(lambda: 7).remote())  # a worker listens now
    found = set()
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            words = process.cmdline()
            if not any("ray" in word for word in words):
                continue  # a server that other tests share, such as PostgreSQL
            if any(each.status == psutil.CONN_LISTEN for each in process.net_connections("inet")):
                script = next((word.rpartition("/")[2] for word in words if word.endswith(".py")), None)
                found.add(script or words[0].rpartition("/")[2])
    assert {"gcs_server", "raylet"} < found
    for name in found:
        assert name in named or (name.startswith("ray::") and "ray::" in named), f"{name} listens: {sorted(named)}"
