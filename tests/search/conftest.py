from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from search.ledger import Ledger
from search.profiles import PROFILES
from search.settings import StudySettings
from search.space import Space, unet_space
from tests.studies import epoch_report, study_settings
from trainables.epoch_report import EpochReport


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
