"""A search whose data and checkpoints are in an object store, which goes away for a while."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

from search.ledger.ledger import Ledger
from tests.processes.scripts import HANGS_AFTER, Script
from trainables.training.checkpoint_store import checkpoint_store

pytestmark = [pytest.mark.slow, pytest.mark.long]

AWAY_SECONDS = 10


def test_a_study_outlives_an_outage_of_its_object_store(s3_server, data_file, tmp_path, logs):
    from pyarrow import fs

    filesystem, path = fs.FileSystem.from_uri(s3_server.uri("tiny.npz"))
    with filesystem.open_output_stream(path) as stream:
        stream.write(data_file.read_bytes())
    options = ["--data", s3_server.uri("tiny.npz"), "--storage", s3_server.uri("runs"), "--name", "study"]
    options += ["--budget", "4", "--max-epochs", "6", "--scheduler", "asha-stopping"]
    search = Script("search/run.py", options, cwd=tmp_path, logs=logs, environment=os.environ | {"COLUMNS": "160"})
    try:
        while "[1/4]" not in search.stdout:
            assert search.poll() is None, search.stdout + search.stderr
            time.sleep(0.05)
        s3_server.stop()
        with pytest.raises(subprocess.TimeoutExpired):
            search.wait(AWAY_SECONDS)
        s3_server.start()
        said, errors = search.communicate(timeout=HANGS_AFTER)
        assert search.returncode == 0, said + errors
    finally:
        search.kill()
        search.wait()
    records = Ledger.open(tmp_path / "runs/study").records()
    assert [record.has_ended for record in records] == [True] * 4
    assert [record.failures for record in records] == [()] * 4
    for record in records:
        assert [report.epoch for report in record.reports] == list(range(1, len(record.reports) + 1))
    best = max(records, key=lambda record: record.score or 0)
    assert checkpoint_store(s3_server.uri("runs/study/checkpoints"), best.number).load("best") is not None
