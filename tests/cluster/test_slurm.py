"""cluster/slurm.sh: a real Ray of two nodes on this machine, a real search; only Slurm's own commands are stand-ins."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from search.ledger.ledger import Ledger
from tests.cluster.machines.files import CLUSTER, ROOT
from tests.processes.ports import free_port

COMMANDS = {
    # The second node is this machine too.
    "srun": 'echo "$*" > "$SPOOL/srun"; while [[ $1 == --* ]]; do shift; done; exec "$@"',
    "scontrol": 'echo "$*" >> "$SPOOL/scontrol"',
    # Nodes on one machine must not hand out the same ports.
    "ray": '[[ $1 == start ]] && set -- "$@" --min-worker-port=0 --max-worker-port=0; exec "$RAY" "$@"',
}


@pytest.fixture
def job(tmp_path):
    """A job of two nodes in Slurm's words; calling it starts the script with these options of the search."""
    venv, spool, binaries = tmp_path / "venv", tmp_path / "spool", Path(sys.executable).parent
    (venv / "bin").mkdir(parents=True)
    spool.mkdir()
    for name, text in COMMANDS.items():
        (venv / "bin" / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (venv / "bin" / name).chmod(0o755)
    (venv / "bin" / "activate").write_text(f"PATH={venv / 'bin'}:{binaries}:$PATH\n")
    temporary = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # the paths of Ray's sockets must be short
    home = tmp_path / "home"
    home.mkdir()
    environment = os.environ | {
        "SLURM_SUBMIT_DIR": str(ROOT),
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_CPUS_ON_NODE": "1",
        "SLURMD_NODENAME": "node1",
        "VENV": str(venv),
        "SPOOL": str(spool),
        "RAY": str(binaries / "ray"),
        "RAY_TMPDIR": temporary,
        "RAY_PORT": str(free_port()),
        "HOME": str(home),
        "COLUMNS": "160",
    }
    running = []

    def start(*options):
        script = ["bash", CLUSTER / "slurm.sh", *options]
        log = (spool / "log").open("ab")
        running.append(subprocess.Popen(script, env=environment, stdout=log, stderr=log, start_new_session=True))
        return running[-1]

    start.spool, start.temporary = spool, temporary
    yield start
    for process in running:
        if process.poll() is None:
            process.terminate()
            process.wait(60)
    for process in left_of_ray(temporary):
        process.kill()
    shutil.rmtree(temporary)


def left_of_ray(temporary):
    """Processes of the Ray whose files are there that outlive its end."""
    found = [each for each in psutil.process_iter(["cmdline"]) if temporary in " ".join(each.info["cmdline"] or ())]
    return psutil.wait_procs(found, timeout=60)[1]


def wait_until(condition, process):
    while not condition():
        assert process.poll() is None, "the job has ended"
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_job_that_nears_its_limit_is_queued_again_and_ends_the_study(job, tmp_path):
    options = ["--name", "job", "--storage", str(tmp_path / "runs"), "--budget", "3", "--max-epochs", "4"]
    options += ["--train-fraction", "0.3", "--scheduler", "asha-stopping", "--profile", "cpu"]
    folder, log = tmp_path / "runs" / "job", job.spool / "log"

    def epochs():
        return sum(record.reported_epochs for record in Ledger.open(folder).records())

    first = job(*options)
    wait_until(lambda: (folder / "ledger.journal").exists() and epochs() > 0, first)
    first.send_signal(signal.SIGUSR1)
    assert first.wait(300) == 128 + signal.SIGTERM, log.read_text()
    assert (job.spool / "scontrol").read_text() == "requeue 7\n"
    assert left_of_ray(job.temporary) == []
    assert "2 CPUs and 0 GPUs" in log.read_text()
    assert "--nodes=1 --ntasks-per-node=1 --exclude=node1" in (job.spool / "srun").read_text()

    assert job(*options).wait(500) == 0, log.read_text()
    records = Ledger.open(folder).records()
    assert len(records) == 3
    assert all(record.has_ended for record in records)
    assert (job.spool / "scontrol").read_text() == "requeue 7\n"
    assert left_of_ray(job.temporary) == []


def test_outside_of_a_job_it_says_how_to_start_it():
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SLURM")}
    ended = subprocess.run(["bash", CLUSTER / "slurm.sh"], env=environment, capture_output=True, text=True)
    assert ended.returncode != 0
    assert "sbatch" in ended.stderr
