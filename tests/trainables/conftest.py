from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from trainables.augmentation.transforms import AugmentationConfig
from trainables.config import TrainingConfig, TrialConfig
from trainables.data import DataSource, PreparedData, prepare
from trainables.models.config import ModelConfig
from trainables.optim.optimizers import OptimizerConfig
from trainables.optim.schedules import ScheduleConfig


@pytest.fixture(scope="session")
def tiny_npz(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """30 images of 16x24 with three classes told apart by brightness, and a test set."""
    rng = np.random.default_rng(0)
    masks = np.repeat(np.repeat(rng.integers(0, 4, (30, 4, 6)), 4, axis=1), 4, axis=2)
    images = masks * 60 + rng.integers(0, 30, masks.shape)
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(
        path,
        training_set=np.stack([images, masks], axis=1).astype(np.uint8),
        test_set=images[:7].astype(np.uint8),
        class_names=np.array(["unlabelled", "low", "middle", "high"]),
        ignored_label=0,
    )
    return path


@pytest.fixture
def tiny(tiny_npz: Path) -> PreparedData:
    return prepare(DataSource(uri=str(tiny_npz)))


@pytest.fixture
def tiny_config() -> TrialConfig:
    """With everything that has a state: dropout, momentum, a schedule, a weight average, augmentation."""
    return TrialConfig(
        model=ModelConfig(depth=2, width=4, dropout=0.2),
        optimizer=OptimizerConfig(lr=5e-3),
        schedule=ScheduleConfig(name="onecycle"),
        augmentation=AugmentationConfig(name="flips+crop"),
        training=TrainingConfig(batch_size=8, max_epochs=4, ema_decay=0.9, precision="fp32"),
    )
