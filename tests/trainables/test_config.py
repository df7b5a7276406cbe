from __future__ import annotations

import pytest

from trainables.augmentation.transforms import AugmentationConfig
from trainables.config import TrainingConfig, TrialConfig
from trainables.losses.config import LossConfig
from trainables.models.config import ModelConfig
from trainables.optim.optimizers import OptimizerConfig
from trainables.optim.schedules import ScheduleConfig


def test_the_flat_form_and_back():
    config = TrialConfig(
        model=ModelConfig(depth=4, bottleneck="aspp", aspp_rates=(2, 4)),
        loss=LossConfig(name="focal", parameters={"gamma": 1.5}),
        optimizer=OptimizerConfig(name="sgd", lr=0.1),
        schedule=ScheduleConfig(name="plateau"),
        augmentation=AugmentationConfig(name="flips"),
        training=TrainingConfig(ema_decay=0.99),
    )
    flat = config.to_flat()
    assert flat["model.aspp_rates"] == "2-4"
    assert flat["optimizer.momentum"] == 0.9
    assert all(isinstance(value, (str, int, float)) for value in flat.values())
    assert TrialConfig.from_flat(flat) == config
    assert TrialConfig.from_flat({}) == TrialConfig()


def test_fields_that_mean_nothing_are_absent():
    assert not {"model.aspp_rates", "loss.gamma", "optimizer.momentum", "schedule.factor"} & set(
        TrialConfig().to_flat()
    )


@pytest.mark.parametrize(
    ("flat", "message"),
    [
        ({"model.depth": 6}, "depth = 6: must be 2, 3, 4 or 5"),
        ({"model.width": 0}, "width = 0"),
        ({"model.block": "dense"}, "block = 'dense': must be one of plain, residual"),
        ({"model.aspp_rates": "1-2"}, r"aspp_rates = \(1, 2\) has no effect with bottleneck = 'plain'"),
        ({"model.dropout": 1.0}, "dropout = 1.0"),
        ({"loss.name": "magic"}, "name = 'magic': must be one of cross_entropy"),
        ({"loss.gamma": 2.0}, "gamma = 2.0 has no effect with name = 'cross_entropy': it applies only to focal"),
        ({"loss.name": "focal", "loss.gamma": -1.0}, "gamma = -1.0"),
        ({"optimizer.lr": float("nan")}, "lr = nan"),
        ({"optimizer.lr": 0.0}, "lr = 0.0"),
        ({"optimizer.weight_decay": -1.0}, "weight_decay"),
        ({"optimizer.momentum": 0.9}, "has no effect with name = 'adamw'"),
        ({"schedule.name": "steps"}, "must be one of"),
        ({"augmentation.name": "all"}, "must be one of"),
        ({"training.batch_size": 0}, "batch_size = 0"),
        ({"training.ema_decay": 1.0}, "ema_decay = 1.0"),
        ({"training.precision": "int8"}, "must be one of auto, bf16, fp32"),
        ({"training.speed": 3}, "unknown configuration key 'training.speed'"),
        ({"depth": 3}, "unknown configuration key 'depth'"),
    ],
)
def test_values_that_break_a_rule_are_refused_by_name(flat, message):
    with pytest.raises(ValueError, match=message):
        TrialConfig.from_flat(flat)
