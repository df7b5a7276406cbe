from __future__ import annotations

import dataclasses

import pytest
import torch
from torch import multiprocessing, nn

from tests.groups import train
from trainables import ranks
from trainables.config import ModelConfig
from trainables.epoch_report import EpochReport
from trainables.models import build_model


def trained(world, config, data, folder):
    folder.mkdir()
    multiprocessing.start_processes(
        train, (world, config.to_flat(), str(data), str(folder)), nprocs=world, start_method="spawn"
    )
    return [EpochReport.from_dict(report) for report in torch.load(folder / "reports.pt")]


@pytest.mark.parametrize(
    "changes",
    [
        {"loss.name": "weighted_cross_entropy", "loss.class_weight_exponent": 0.5},
        {"loss.learn_ignored": True, "model.background": "joint"},
    ],
)
def test_several_ranks_train_as_one_process_does(changes, tiny_config, tiny_npz, tmp_path):
    """Three ranks share batches of eight, so their parts are unequal, and so are the labelled pixels in them."""
    config = (
        dataclasses.replace(tiny_config, model=dataclasses.replace(tiny_config.model, dropout=0.0)).to_flat()
        | changes
        | {"training.max_epochs": 3}
    )
    config = type(tiny_config).from_flat(config)
    one, three = (trained(world, config, tiny_npz, tmp_path / str(world)) for world in (1, 3))
    assert len(one) == len(three) == 3
    for alone, shared in zip(one, three, strict=True):
        assert shared.train_loss == pytest.approx(alone.train_loss, rel=1e-4)
        assert shared.gradient_norm == pytest.approx(alone.gradient_norm, rel=1e-3)
        assert shared.mean_iou == pytest.approx(alone.mean_iou, abs=1e-3)
        assert shared.learning_rate == alone.learning_rate


def test_synchronised_batch_statistics_are_the_same_model(monkeypatch):
    """Where ranks train on GPUs; evaluation needs no other rank."""
    monkeypatch.setattr(ranks, "world_size", lambda: 2)
    model = build_model(ModelConfig(depth=2, width=4), in_channels=1, num_classes=3)
    assert ranks.synchronised(model, torch.device("cpu")) is model
    images, names = torch.rand(2, 1, 16, 24), set(model.state_dict())
    expected = model.eval()(images)
    synchronised = ranks.synchronised(model, torch.device("cuda"))
    assert not any(type(part) is nn.BatchNorm2d for part in synchronised.modules())
    assert any(isinstance(part, nn.SyncBatchNorm) for part in synchronised.modules())
    assert set(synchronised.state_dict()) == names
    torch.testing.assert_close(synchronised.eval()(images), expected)
