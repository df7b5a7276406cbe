"""`cluster/on_premise.yaml` for real: machines with their own addresses, of which `ray up` makes a cluster by SSH."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from search.ledger import FILE, Ledger
from search.trial_record import TrialRecord
from tests.cluster.hosts import ROOT, SHARED, Hosts, wait_for
from tests.cluster.on_premise import CPUS, OnPremise
from tests.integration.conftest import tiny_pairs

pytestmark = [pytest.mark.slow, pytest.mark.hosts]

SEARCH = ["--data", f"{SHARED}/tiny.npz", "--storage", f"{SHARED}/runs", "--name", "study", "--profile", "cpu"]
SEARCH += ["--budget", "8", "--max-epochs", "60", "--grace-epochs", "60", "--patience", "60", "--sampler", "random"]
TASKS = f"""
import socket, sys, time, ray
from pathlib import Path
ray.init("auto", logging_level="ERROR")
@ray.remote(num_cpus=int(sys.argv[1]))
def meet():
    Path("{SHARED}", "here", socket.gethostname()).touch()
    while len(list(Path("{SHARED}", "here").iterdir())) < 3:
        time.sleep(0.1)
ray.get([meet.remote() for _ in range(3)])
"""


def records(hosts: Hosts) -> list[TrialRecord]:
    folder = hosts.shared / "runs" / "study"
    return Ledger.open(folder).records() if (folder / FILE).exists() else []


@pytest.mark.timeout(1000)
def test_a_search_outlives_the_loss_of_a_machine(hosts):
    cluster = OnPremise(hosts)
    cluster.up()
    taken = {Path(place).name for place in cluster.config["file_mounts"] if place.startswith("~/mars-search/")}
    assert set(cluster.ssh("ls -A ~/mars-search").split()) == taken | {".venv"}
    # From outside there is no dashboard, and nobody gets in without the token.
    page = "exec 3<>/dev/tcp/{}/8265; printf 'GET / HTTP/1.0\\n\\n' >&3; head -1 <&3"
    assert "HTTP" in cluster.ssh(page.format("127.0.0.1"))
    assert "refused" in hosts.laptop.run("bash", "-c", page.format(cluster.head.address), check=False).stderr
    stranger = hosts.laptop.run("ray", "status", "--address", f"{cluster.head.address}:6379", check=False)
    assert "AuthenticationError" in stranger.stderr
    wait_for(lambda: len(cluster.alive()) == 3, "three machines", seconds=200)
    assert "No such file" in hosts.ssh("one", "ls ~/ray_bootstrap_key.pem", check=False).stderr

    np.savez(hosts.shared / "tiny.npz", training_set=tiny_pairs())
    tunnel = hosts.laptop.start("ray", "dashboard", f"{SHARED}/cluster.yaml", cwd=ROOT)
    knock = ("bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/8265")
    wait_for(lambda: hosts.laptop.run(*knock, check=False).returncode == 0, "the tunnel", seconds=60)
    address = ("--address", "http://127.0.0.1:8265")
    search = hosts.laptop.start("python", ROOT / "search/run.py", *address, *SEARCH, cwd=SHARED)
    wait_for(
        lambda: (
            search.poll() is not None
            or (cluster.works("one") and records(hosts) and all(record.told_epochs > 2 for record in records(hosts)))
        ),
        "trials on all machines",
        seconds=200,
    )
    hosts.cut("one")
    output, errors = search.communicate(timeout=450)
    assert search.returncode == 0, output + errors
    ended = records(hosts)
    assert [record.state for record in ended] == ["complete"] * 8
    assert {failure.kind for record in ended for failure in record.failures} == {"node_lost"}
    assert f"8 of 8 trials in {SHARED}/runs/study" in output
    hosts.laptop.run("pkill", "--full", "8265:localhost:8265")  # its SSH
    tunnel.communicate()

    hosts.mend("one")
    wait_for(lambda: len(cluster.alive()) == 3, "the lost machine's return", seconds=200)
    cluster.down()
    wait_for(lambda: not any(cluster.left().values()), "the end of all that ran", seconds=90)


@pytest.mark.timeout(1000)
def test_workers_come_when_they_are_asked_for_and_go_when_idle(hosts):
    cluster = OnPremise(hosts, workers=0, idle_minutes=0.2)
    cluster.up()
    assert cluster.alive() == {cluster.head.address}
    (hosts.shared / "tasks.py").write_text(TASKS)
    (hosts.shared / "here").mkdir()
    tasks = cluster.start(f"python {SHARED}/tasks.py {CPUS}")  # each wants a machine, and waits for the other two
    output, errors = tasks.communicate(timeout=300)
    assert tasks.returncode == 0, output + errors

    wait_for(lambda: not cluster.left()["one"] and not cluster.left()["two"], "the workers' end", seconds=200)
    assert cluster.alive() == {cluster.head.address}
    cluster.up()  # again, beside the running one: brings it up to date
    assert cluster.alive() == {cluster.head.address}
    cluster.down()
    assert not any(cluster.left().values())
