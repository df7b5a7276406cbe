"""`cluster/on_premise.yaml` for real: machines with their own addresses, of which `ray up` makes a cluster by SSH."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from search.ledger.ledger import FILE, Ledger
from search.ledger.records import TrialRecord
from tests.cluster.machines.hosts import ROOT, SHARED, Hosts, wait_for
from tests.cluster.machines.on_premise import OnPremise
from tests.integration.conftest import tiny_pairs
from tests.made.competition import MARS_KEYS
from tests.processes.scripts import HANGS_AFTER

pytestmark = [pytest.mark.slow, pytest.mark.long, pytest.mark.hosts]

SEARCH = ["--data", f"{SHARED}/tiny.npz", "--storage", f"{SHARED}/runs", "--name", "study", "--profile", "cpu"]
SEARCH += ["--max-epochs", "300", "--grace-epochs", "300", "--patience", "300", "--sampler", "random"]


def records(hosts: Hosts) -> list[TrialRecord]:
    folder = hosts.shared / "runs" / "study"
    return Ledger.open(folder).records() if (folder / FILE).exists() else []


def told(hosts: Hosts) -> int:
    """Epochs in the ledger."""
    return sum(record.reported_epochs for record in records(hosts))


def kinds(hosts: Hosts) -> set[str]:
    """How trials broke."""
    return {failure.kind for record in records(hosts) for failure in record.failures}


@pytest.mark.timeout(1500)
def test_workers_come_when_a_search_asks_for_them_may_be_lost_and_go_when_idle(hosts):
    cluster = OnPremise(hosts, workers=0, idle_minutes=0.2)
    cluster.up()
    assert cluster.alive() == {cluster.head.address}
    taken = {Path(place).name for place in cluster.config["file_mounts"] if place.startswith("~/mars-search/")}
    assert set(cluster.ssh("ls -A ~/mars-search").split()) == taken | {".venv"}
    # From outside there is no dashboard, and nobody gets in without the token.
    page = "exec 3<>/dev/tcp/{}/8265; printf 'GET / HTTP/1.0\\n\\n' >&3; head -1 <&3"
    assert "HTTP" in cluster.ssh(page.format("127.0.0.1"))
    assert "refused" in hosts.laptop.run("bash", "-c", page.format(cluster.head.address), check=False).stderr
    stranger = hosts.laptop.run("ray", "status", "--address", f"{cluster.head.address}:6379", check=False)
    assert "AuthenticationError" in stranger.stderr

    np.savez(hosts.shared / "tiny.npz", training_set=tiny_pairs(), **MARS_KEYS)
    tunnel = hosts.laptop.start("ray", "dashboard", f"{SHARED}/cluster.yaml", cwd=ROOT)
    knock = ("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8265")
    wait_for(lambda: hosts.laptop.run(*knock, check=False).returncode == 0, "the tunnel", seconds=60)
    command = ("python", ROOT / "search/run.py", "--address", "http://127.0.0.1:8265")
    search = hosts.laptop.start(*command, *SEARCH, "--budget", "1000", cwd=SHARED)  # which cannot end by itself

    def wait_while_it_runs(sign: Callable[[], object], what: str, seconds: float) -> None:
        wait_for(lambda: search.poll() is not None or sign(), what, seconds=seconds)
        assert search.poll() is None, search.communicate()

    wait_while_it_runs(lambda: cluster.works("one") and cluster.works("two"), "trials on the workers", 500)
    assert "No such file" in hosts.ssh("one", "ls ~/ray_bootstrap_key.pem", check=False).stderr
    told_before = told(hosts)
    wait_while_it_runs(lambda: told(hosts) > told_before + 20, "their epochs", 120)
    hosts.cut("one")
    wait_while_it_runs(lambda: kinds(hosts), "notice of the loss", 120)
    hosts.mend("one")
    wait_while_it_runs(lambda: cluster.works("one"), "the lost machine's return", 500)
    hosts.laptop.run(*command, "--stop", "study")
    search.communicate(timeout=HANGS_AFTER)
    assert search.returncode == 130
    begun = len(records(hosts))

    ended = hosts.laptop.run(*command, *SEARCH, "--budget", str(begun), cwd=SHARED)
    assert [record.state for record in records(hosts)] == ["complete"] * begun
    assert kinds(hosts) == {"node_lost"}
    assert f"{begun} of {begun} trials in {SHARED}/runs/study" in ended.stdout
    hosts.laptop.run("pkill", "--full", "8265:localhost:8265")  # its SSH
    tunnel.communicate()

    wait_for(lambda: not cluster.left()["one"] and not cluster.left()["two"], "the workers' end", seconds=200)
    assert cluster.alive() == {cluster.head.address}
    cluster.up()  # again, beside the running one: brings it up to date
    assert cluster.alive() == {cluster.head.address}
    cluster.down()
    wait_for(lambda: not any(cluster.left().values()), "the end of all that ran", seconds=90)
