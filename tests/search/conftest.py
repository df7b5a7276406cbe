from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from search.ledger.ledger import Ledger
from search.study.profiles import PROFILES
from search.study.settings import StudySettings
from search.study.space import Space
from search.study.unet_space import unet_space
from tests.made.studies import epoch_report, study_settings
from trainables.messages import EpochReport


@pytest.fixture
def settings() -> StudySettings:
    return study_settings(seed=3)


@pytest.fixture
def space() -> Space:
    return unet_space(PROFILES["cpu"])


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(tmp_path / "study")


@pytest.fixture
def make_report() -> Callable[..., EpochReport]:
    return epoch_report


HOLDER = """
import pathlib, sys
from search.locking.folder_lock import study_lock
with study_lock(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def hold() -> Iterator[Callable[[Path], subprocess.Popen[bytes]]]:
    """Starts a process that holds the lock of the study in a folder."""
    held = []

    def start(folder: Path) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", HOLDER, str(folder)]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        held.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        return process

    yield start
    for process in held:
        process.communicate()
