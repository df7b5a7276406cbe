"""optuna-dashboard on a study's ledger, as cluster/README.md says to start it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from search.ledger import FILE, Ledger
from search.profiles import PROFILES
from search.space import unet_space
from tests.cluster.files import free_port
from tests.studies import begin, epoch_report


def answer(address, server):
    """What the server says, as soon as it is there."""
    while True:
        try:
            with urllib.request.urlopen(address) as response:
                return json.load(response)
        except urllib.error.URLError:
            assert server.poll() is None
            time.sleep(0.2)


def test_it_shows_the_trials_of_a_study_and_leaves_the_ledger_alone(tmp_path):
    ledger = Ledger.create(tmp_path / "mars")
    trial = begin(ledger, unet_space(PROFILES["cpu"]))
    ledger.add_epoch(trial.number, epoch_report(1, 0.25))
    file = tmp_path / "mars" / FILE
    before = file.read_bytes()
    port = str(free_port())
    server = subprocess.Popen([Path(sys.executable).with_name("optuna-dashboard"), "--port", port, file])
    try:
        study = answer(f"http://127.0.0.1:{port}/api/studies/0?after=0", server)
    finally:
        server.terminate()
        server.wait()
    assert study["name"] == "mars"
    assert [trial["intermediate_values"] for trial in study["trials"]] == [[{"step": 1, "value": 0.25}]]
    assert file.read_bytes() == before
