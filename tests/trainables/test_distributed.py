from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import multiprocessing, nn

from tests.processes.groups import normalise_each_image, train_together, trained
from tests.processes.scripts import START
from trainables import distributed
from trainables.messages import EpochReport
from trainables.models import build_model
from trainables.models.config import ModelConfig

CHANGES = (
    {"loss.name": "weighted_cross_entropy", "loss.class_weight_exponent": 0.5},
    {"loss.learn_ignored": True},
    {"model.background": "joint", "augmentation.name": "none"},
)


def test_several_ranks_train_as_one_process_does(tiny_config, tiny_npz, tmp_path, monkeypatch):
    """Five ranks share batches of eight: their parts are unequal, and so are the labelled pixels in them.

    There are three validation images: two ranks have none.
    """
    model = dataclasses.replace(tiny_config.model, dropout=0.0)
    flat = dataclasses.replace(tiny_config, model=model).to_flat() | {"training.max_epochs": 3}
    configs = [flat | changes for changes in CHANGES]
    arguments = (5, configs, str(tiny_npz), str(tmp_path))
    multiprocessing.start_processes(train_together, arguments, nprocs=5, start_method=START)
    together = torch.load(tmp_path / "reports.pt")
    monkeypatch.setattr(nn, "BatchNorm2d", nn.BatchNorm2d)  # to have it back behind the test
    normalise_each_image()
    for config, reports in zip(configs, together, strict=True):
        alone = trained(config, str(tiny_npz))
        assert len(alone) == len(reports) == 3
        for one, other in zip(alone, map(EpochReport.from_dict, reports), strict=True):
            assert other.train_loss == pytest.approx(one.train_loss, rel=1e-4)
            assert other.gradient_norm == pytest.approx(one.gradient_norm, rel=1e-3)
            assert other.val_loss == pytest.approx(one.val_loss, rel=1e-3)
            assert other.mean_iou == pytest.approx(one.mean_iou, abs=1e-3)
            assert other.learning_rate == one.learning_rate


def test_synchronised_batch_statistics_are_the_same_model(monkeypatch):
    """Where ranks train on GPUs; evaluation needs no other rank."""
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    model = build_model(ModelConfig(depth=2, width=4), in_channels=1, num_classes=3)
    assert distributed.synchronised(model, torch.device("cpu")) is model
    images, names = torch.rand(2, 1, 16, 24), set(model.state_dict())
    expected = model.eval()(images)
    synchronised = distributed.synchronised(model, torch.device("cuda"))
    assert not any(type(part) is nn.BatchNorm2d for part in synchronised.modules())
    assert any(isinstance(part, nn.SyncBatchNorm) for part in synchronised.modules())
    assert set(synchronised.state_dict()) == names
    torch.testing.assert_close(synchronised.eval()(images), expected)
