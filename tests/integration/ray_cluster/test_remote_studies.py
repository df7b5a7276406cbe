"""Searches that are submitted to a real cluster of its own, with its own token, as a user does from elsewhere."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.ledger.ledger import Ledger
from tests.processes.ports import free_port
from tests.processes.scripts import HANGS_AFTER, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.long]

Client = Callable[..., subprocess.Popen[str]]


class Head:
    """A head with two CPUs, whose home folder is not ours."""

    def __init__(self, folder: Path):
        port, dashboard, agent, client = (free_port() for _ in range(4))
        self.home, self.token = folder / "home", folder / "token"
        self.home.mkdir()
        self.token.write_text("a" * 64)
        self.address = f"http://127.0.0.1:{dashboard}"
        command = f"ray start --head --block --num-cpus=2 --port={port} --dashboard-port={dashboard}"
        command += f" --dashboard-agent-listen-port={agent} --ray-client-server-port={client}"
        command += f" --temp-dir=/tmp/{folder.name[:8]}-{port} --disable-usage-stats"
        self.process = subprocess.Popen(
            [f"{Path(sys.executable).parent}/{command.split()[0]}", *command.split()[1:]],
            env=self.environment
            | {"HOME": str(self.home), "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    @property
    def environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "PYTHONPATH")}
        return ours | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token), "COLUMNS": "160"}

    def answers(self) -> bool:
        """Whether its dashboard does, if only to ask for the token."""
        try:
            urllib.request.urlopen(self.address)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)


@pytest.fixture(scope="module")
def head(tmp_path_factory) -> Iterator[Head]:
    head = Head(tmp_path_factory.mktemp("cluster"))
    try:
        while not head.answers():
            assert head.process.poll() is None
            time.sleep(0.2)
        yield head
    finally:
        head.stop()


@pytest.fixture
def client(head, tmp_path) -> Iterator[Client]:
    """Starts Python anew: Ray looks for the token and its mode when it is imported."""
    started = []

    def start(*arguments: object, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, str(ROOT / "search/run.py"), "--address", head.address, *map(str, arguments)]
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=head.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def ended(process: subprocess.Popen[str], timeout: float = HANGS_AFTER) -> tuple[int, str]:
    text, _ = process.communicate(timeout=timeout)
    assert "Traceback" not in text, text
    return process.returncode, text


def line_with(process: subprocess.Popen[str], words: str) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if words in line:
            return line
    raise AssertionError(f"it ended without saying {words!r}")


def test_a_submitted_search_runs_there_and_is_shown_here(head, client, data_file, tmp_path):
    listed = tmp_path / "drop.txt"  # here, where the head does not see it
    listed.write_text("3\n5\n")
    options = ("--data", data_file, "--drop-list", listed.name, "--name", "there", "--budget", 2, "--max-epochs", 2)
    code, text = ended(client(*options))
    assert code == 0, text
    assert re.search(r"\[2/2\] trial 000\d complete", text)
    assert f"2 of 2 trials in {head.home}/runs/there" in text
    assert [record.state for record in Ledger.open(head.home / "runs/there").records()] == ["complete"] * 2
    assert Ledger.open(head.home / "runs/there").settings["drop_list"] == [3, 5]
    assert list(tmp_path.iterdir()) == [listed]
    code, text = ended(client("--status"))
    assert (code, "there-1" in text, "succeeded" in text) == (0, True, True)
    code, text = ended(client("--status", "there"))
    assert (code, "2/2 trials" in text, "2 complete" in text) == (0, True, True)
    code, text = ended(client("--logs", "there"))
    assert (code, "trial 0001 complete" in text) == (0, True)


def test_a_client_that_is_gone_stops_nothing_and_finds_the_study_again(head, client, data_file):
    options = ("--data", data_file, "--name", "left", "--budget", 10_000, "--max-epochs", 30)
    first = client(*options)
    line_with(first, "paused")
    first.send_signal(signal.SIGINT)
    code, text = ended(first)
    assert (code, "the study keeps running there" in text) == (130, True)
    again = client(*options)
    line_with(again, "is already running there")
    code, text = ended(client("--data", data_file, "--name", "left", "--budget", 10_001))
    assert (code, "is already running there with other options" in text) == (2, True)
    code, text = ended(client("--data", data_file, "--name", "beside", "--budget", 1, "--max-epochs", 1))
    assert code == 0, text  # it gets its share of the slots, though the other would fill them all for an hour
    code, text = ended(client("--stop", "left"))
    assert (code, "not finished, interrupted" in text) == (0, True), text
    code, text = ended(again)
    assert (code, "interrupted" in text) == (130, True)
    code, text = ended(client("--stop", "left"))
    assert (code, "is not running there" in text) == (2, True)
    before = Ledger.open(head.home / "runs/left").records()
    assert any(record.reports for record in before)
    fewer = len(before)
    code, text = ended(client("--data", data_file, "--name", "left", "--budget", fewer, "--max-epochs", 30))
    assert code == 0, text
    after = Ledger.open(head.home / "runs/left").records()
    assert [record.config for record in after] == [record.config for record in before]
    assert all(record.has_ended for record in after)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gpus-per-trial", 1], "needs 1 GPU but the cluster has 0"),
        (["--data", "/nowhere.npz"], "/nowhere.npz: no such file"),
        (["--storage", "/proc/nothing"], "--storage: cannot write to /proc"),
        (["--status", "unknown"], "no study 'unknown' was submitted"),
        (["--stop", "unknown"], "no study 'unknown' was submitted"),
    ],
)
def test_mistakes_that_the_cluster_finds(client, data_file, arguments, message):
    data = [] if "--data" in arguments else ["--data", data_file]
    code, text = ended(client(*data, "--budget", 1, *arguments))
    assert (code, message in text) == (2, True), text


def test_a_wrong_token_and_a_wrong_address(client, tmp_path):
    (tmp_path / "token").write_text("b" * 64)
    code, text = ended(client("--status", RAY_AUTH_TOKEN_PATH=str(tmp_path / "token")))
    assert (code, "the cluster denies access" in text, "the same token" in text) == (2, True, True)
    code, text = ended(client("--status", RAY_AUTH_MODE="disabled"))
    assert (code, "the cluster denies access" in text) == (2, True)
    code, text = ended(client("--address", "http://127.0.0.1:9", "--status"))
    assert (code, "no Ray dashboard responds there" in text) == (2, True)
    code, text = ended(client("--address", "127.0.0.1:9", "--dry-run"))
    assert (code, "nothing responds there" in text) == (2, True)
    code, text = ended(client("--address", "ray://127.0.0.1:9", "--dry-run"))
    assert (code, "must be auto, the host:port of a head" in text) == (2, True)
