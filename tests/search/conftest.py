from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from search.ledger import Ledger
from search.profiles import PROFILES
from search.settings import StudySettings
from search.space import Space, unet_space
from trainables.config import TrialConfig
from trainables.epoch_report import EpochReport


@pytest.fixture
def settings(tmp_path: Path) -> StudySettings:
    return StudySettings(
        data="sample",
        fingerprint="f",
        seed=3,
        profile="cpu",
        max_epochs=9,
        grace_epochs=1,
        reduction_factor=3,
        patience=9,
        grad_clip=1.0,
        ema_decay=None,
        precision="auto",
        workers_per_trial=1,
        checkpoints="checkpoints",
    )


@pytest.fixture
def space() -> Space:
    return unet_space(PROFILES["cpu"])


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.create(tmp_path / "study")


@pytest.fixture
def make_report() -> Callable[..., EpochReport]:
    def make(epoch: int, mean_iou: float | None = 0.5, **changes: Any) -> EpochReport:
        values: dict[str, Any] = {
            "epoch": epoch,
            "train_loss": 1.0 / epoch,
            "val_loss": 0.7,
            "mean_iou": mean_iou,
            "class_iou": {"soil": mean_iou, "sand": mean_iou},
            "best_mean_iou": mean_iou,
            "best_epoch": epoch,
            "learning_rate": 1e-3,
            "gradient_norm": 0.4,
            "images_per_second": 100.0,
            "train_seconds": 1.0,
            "val_seconds": 0.1,
            "parameters": 1000,
        }
        return EpochReport(**values | changes)

    return make


@pytest.fixture
def normalise() -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda flat: TrialConfig.from_flat(flat).to_flat()
