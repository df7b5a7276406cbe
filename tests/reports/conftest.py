from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest

from reports.inputs import StudyFacts, read_study
from search.ledger.ledger import Ledger
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from tests.made.competition import MARS_KEYS
from tests.made.studies import begin, study_settings
from trainables.config import TrialConfig
from trainables.data import DataSource, prepare
from trainables.training.checkpoint_store import checkpoint_store
from trainables.training.resumable_training import epochs


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 images of 16x24 with the competition's classes, and 70 to predict."""
    masks = np.random.default_rng(0).integers(0, 5, (24, 4, 6)).repeat(4, axis=1).repeat(4, axis=2)
    pairs = np.stack([masks * 50 + 20, masks], axis=1).astype(np.uint8)
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, training_set=pairs, test_set=pairs[np.arange(70) % 24, 0], **MARS_KEYS)
    return path


@pytest.fixture(scope="session")
def original(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "study"
    data = prepare(DataSource(uri=str(tiny_file)), cache=tmp_path_factory.getbasetemp() / "cache")
    settings = study_settings(data=str(tiny_file), fingerprint=data.fingerprint, max_epochs=5)
    ledger = Ledger.create(folder)
    ledger.settings = dataclasses.asdict(settings)
    space = unet_space(PROFILES["cpu"])
    for _ in range(5):
        begin(ledger, space, max_epochs=5)
    for number in (0, 1):
        store = checkpoint_store(settings.checkpoint_root(folder), number)
        config = TrialConfig.from_flat(ledger.record(number).config)
        for report in epochs(config, data, train=data.split["train"], validation=data.split["val"], checkpoints=store):
            ledger.add_epoch(number, report)
        ledger.complete(number)
    worse = dataclasses.replace(report, epoch=1, score=0.01, mean_iou=0.01, best_score=0.01, best_epoch=1, ended=None)
    ledger.add_epoch(2, worse)
    ledger.prune(2)
    ledger.fail(3, "Traceback ...\n<script>alert('boom')</script>\nRuntimeError: <b>boom</b>")
    return folder


@pytest.fixture
def study(original: Path, tmp_path: Path) -> Path:
    """A study with two complete trials, a pruned, a failed and a running one, and real checkpoints of the first two."""
    return shutil.copytree(original, tmp_path / "runs" / "study")


@pytest.fixture
def facts(study: Path) -> StudyFacts:
    return read_study(study, None)
