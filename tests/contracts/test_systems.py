"""What every system of the reports must do."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from search.study.systems import SYSTEMS
from trainables.config import TrialConfig
from trainables.data import DataSource, prepare
from trainables.training.trainer import Training


@pytest.mark.parametrize("name", SYSTEMS)
def test_it_builds_and_one_step_lowers_its_loss(name):
    system = {**SYSTEMS[name].config, "model.width": 4, "model.dropout": 0.0, "augmentation.name": "none"}
    config = TrialConfig.from_flat({**system, "training.batch_size": 4, "training.precision": "fp32"})
    optimizer = dataclasses.replace(config.optimizer, lr=config.optimizer.lr / 3)
    config = dataclasses.replace(config, optimizer=optimizer)
    data = prepare(DataSource(uri="sample"))
    training = Training(config, data, data.split["train"][:4], torch.device("cpu"))
    before, after = (training.train_epoch(epoch).loss for epoch in (1, 2))  # of one step each, on the same images
    assert after < before


@pytest.mark.parametrize("name", SYSTEMS)
def test_its_flat_form_is_whole(name):
    config = TrialConfig.from_flat(SYSTEMS[name].config)
    assert TrialConfig.from_flat(config.to_flat()) == config
