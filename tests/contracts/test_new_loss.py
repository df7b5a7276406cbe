"""A loss is added by one function and one line of the registry: settings, flat form and checks follow from it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from trainables.config import TrialConfig
from trainables.data import DataDescription
from trainables.losses import LOSSES, build_loss
from trainables.registry import Component, Parameter

DELTA = Parameter(help="where it turns", default=1.5, allows=lambda value: value > 0, rule="must be positive")


def huber(task, *, delta):
    """The Huber loss of the label's probability."""

    def loss(logits, target):
        likely = logits.softmax(1).gather(1, target.unsqueeze(1))
        return torch.nn.functional.huber_loss(likely, torch.ones_like(likely), delta=delta)

    return loss


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(LOSSES, "huber", Component(huber, {"delta": DELTA}))


def test_its_parameter_has_a_place_in_the_configuration():
    config = TrialConfig.from_flat({"loss.name": "huber+focal", "loss.delta": 0.25})
    flat = config.to_flat()
    assert (flat["loss.delta"], flat["loss.gamma"]) == (0.25, 2.0)
    assert TrialConfig.from_flat(flat) == config
    assert TrialConfig.from_flat({"loss.name": "huber"}).to_flat()["loss.delta"] == 1.5


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"loss.name": "huber", "loss.delta": -1}, "LossConfig.delta = -1: must be positive"),
        ({"loss.delta": 1}, "LossConfig.delta = 1 has no effect with name = 'cross_entropy': it applies only to huber"),
        ({"loss.name": "huber", "loss.beta": 1}, "unknown configuration key 'loss.beta'"),
        ({"loss.name": "huber", "loss.parameters": {}}, "unknown configuration key 'loss.parameters'"),
    ],
)
def test_its_parameter_is_checked_as_every_other(given, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        TrialConfig.from_flat(given)


def test_it_is_built_with_its_parameter():
    config = TrialConfig.from_flat({"loss.name": "huber", "loss.delta": 0.25}).loss
    described = DataDescription(class_names=("a", "b"), ignored_label=None)
    logits, labels = torch.zeros(1, 2, 1, 1), torch.zeros(1, 1, 1, dtype=torch.int64)
    value = build_loss(config, described=described, pixel_counts=np.ones(2))(logits, labels)
    assert value.item() == pytest.approx(0.25 * (0.5 - 0.125))  # beyond delta it is linear
