from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from reports.bundle.write import Trained, write_bundle
from reports.inputs import StudyFacts, read_study
from reports.prediction.predictor_choice import PredictorSettings
from reports.prediction.scoring import score_models, searched_models
from search.ledger.ledger import Ledger
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from tests.made.competition import MARS_KEYS
from tests.made.studies import begin, study_settings
from trainables.config import TrialConfig
from trainables.data import DataSource, prepare
from trainables.prediction.decision import LEAST, PLAIN, Decision
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


@pytest.fixture(scope="session")
def made_bundle(original: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bundle of that study, of the average of both trials with flips and a decision, without an ONNX file."""
    folder = tmp_path_factory.mktemp("bundle")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARS_SEARCH_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))
        facts = read_study(original, None, output=folder)
        facts, models = searched_models(facts, 2, torch.device("cpu"))
        scored = score_models(facts, models, suppressed=0, device=torch.device("cpu"))
        plain = PredictorSettings(members=(0, 1, 0), flips=2, decision=PLAIN, suppressed=0)
        found = plain.with_models(models, facts.data, torch.device("cpu"), bf16=False).probabilities(facts.data.images)
        means = torch.cat(list(found)).mean((0, 2, 3)).clamp(min=LEAST).log()
        offsets = tuple((-means).tolist())  # each class is predicted somewhere
        decision = Decision(offsets=offsets, prior=0.1, smallest=3)
        settings = PredictorSettings(members=(0, 1, 0), flips=2, decision=decision, suppressed=0)
        scored = dataclasses.replace(scored, choice=dataclasses.replace(scored.choice, predictor=settings))
        trained = Trained(models=models, configs={}, retrained=None, never="the final model never predicts |sand|")
        return write_bundle(facts, scored, trained, onnx=False).folder


@pytest.fixture
def bundle(made_bundle: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made_bundle, tmp_path / "bundle")


@pytest.fixture
def facts(study: Path) -> StudyFacts:
    return read_study(study, None)
