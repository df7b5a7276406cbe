"""A batch in several parts, one after the other or on several ranks, has the loss and gradient of the whole batch."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from trainables import distributed
from trainables.config import TrialConfig
from trainables.losses.config import LossConfig
from trainables.models.config import ModelConfig
from trainables.training import trainer as module
from trainables.training.trainer import Training

CPU = torch.device("cpu")
CONFIGS = {
    "ignoring": {},
    "learning the ignored label": {"loss.learn_ignored": True},
    "with a background network": {"model.background": "joint"},
}
every_config = pytest.mark.parametrize("flat", CONFIGS.values(), ids=CONFIGS)


def training_of(data, flat, **arguments) -> Training:
    """In evaluation mode: batch statistics are those of the parts, here they are left out."""
    plain = {"model.depth": 2, "model.width": 4, "training.batch_size": 8, "training.precision": "fp32"}
    training = Training(TrialConfig.from_flat(plain | flat), data, data.split["train"], CPU, **arguments)
    training.model.eval()
    return training


@pytest.fixture
def batch(tiny):
    """Of 8 images with unequal numbers of labelled pixels: the first one has none, the last but one all."""
    images, masks = next(training_of(tiny, {}).batches.shuffled(0, 1))
    masks = masks.clone()
    masks[0] = 0
    masks[1, :8] = 0
    masks[6] = masks[6].clamp(min=1)
    return images, masks


def gradient(training: Training) -> torch.Tensor:
    return torch.cat([parameter.grad.flatten() for parameter in training.model.parameters()])


def whole(data, flat, batch):
    """Loss and gradient, by hand."""
    training = training_of(data, flat)
    loss = training.parallel(*batch).sum()
    loss.backward()
    return loss.detach(), gradient(training)


@every_config
@pytest.mark.parametrize("micro_batches", [1, 2, 3, 8, 100])
def test_parts_one_after_the_other(micro_batches, flat, batch, tiny):
    loss, expected = whole(tiny, flat, batch)
    training = training_of(tiny, flat, micro_batches=micro_batches)
    computed = []
    training.parallel.register_forward_hook(lambda _, arguments, __: computed.append(len(arguments[0])))
    torch.testing.assert_close(training._backward(*batch), loss)
    torch.testing.assert_close(gradient(training), expected, rtol=1e-4, atol=1e-6)
    assert computed == {1: [8], 2: [4, 4], 3: [3, 3, 2], 8: [1] * 8, 100: [1] * 8}[micro_batches]


@every_config
@pytest.mark.parametrize("micro_batches", [1, 2, 3, 100])
def test_parts_on_three_ranks(micro_batches, flat, batch, tiny, monkeypatch):
    """The gradient is averaged over ranks, and so is the loss."""
    loss, expected = whole(tiny, flat, batch)
    images, masks = batch
    counted = masks.numel() if flat.get("loss.learn_ignored") else (masks != 0).sum().item()
    everywhere = torch.tensor([counted, masks.numel()])
    monkeypatch.setattr(distributed, "world_size", lambda: 3)
    monkeypatch.setattr(distributed, "parallel", lambda model, device: model)
    losses, gradients, own, parts = [], [], [], []
    monkeypatch.setattr(distributed, "all_sum", lambda values: (own.append(values.clone()), everywhere.clone())[1])
    for rank in range(3):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        training = training_of(tiny, flat, micro_batches=micro_batches)
        computed = []
        training.parallel.register_forward_hook(lambda _, arguments, __, seen=computed: seen.append(len(arguments[0])))
        losses.append(training._backward(images[rank::3], masks[rank::3]))
        gradients.append(gradient(training))
        parts.append(computed)
        assert (training.batches.rank, training.batches.world) == (rank, 3)
    torch.testing.assert_close(torch.stack(own).sum(0), everywhere)
    torch.testing.assert_close(torch.stack(losses).mean(), loss)
    torch.testing.assert_close(torch.stack(gradients).mean(0), expected, rtol=1e-4, atol=1e-6)
    # 3, 3 and 2 images: as many parts on each rank, or they would wait for one another for ever
    assert parts == ([[3], [3], [2]] if micro_batches == 1 else [[2, 1], [2, 1], [1, 1]])


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_a_batch_without_a_labelled_pixel_has_no_loss_and_no_gradient(micro_batches, batch, tiny):
    training = training_of(tiny, {}, micro_batches=micro_batches)
    loss = training._backward(batch[0], torch.zeros_like(batch[1]))
    assert loss == 0
    assert not gradient(training).any()
    assert not loss.requires_grad


def test_a_loss_over_regions_is_computed_on_the_whole_batch_where_it_is_in_one_part(batch, tiny):
    flat = {"loss.name": "dice"}
    loss, expected = whole(tiny, flat, batch)
    training = training_of(tiny, flat)
    torch.testing.assert_close(training._backward(*batch), loss)
    torch.testing.assert_close(gradient(training), expected)


def test_an_epochs_loss_is_the_mean_over_ranks_and_all_share_the_first_ones_statistics(tiny, monkeypatch):
    config = dataclasses.replace(TrialConfig(), model=ModelConfig(depth=2, width=4), loss=LossConfig())
    config = dataclasses.replace(config, training=dataclasses.replace(config.training, batch_size=8, ema_decay=0.5))
    shared = []
    monkeypatch.setattr(distributed, "parallel", lambda model, device: ("parallel", model, device))
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    monkeypatch.setattr(distributed, "share_buffers", shared.append)
    monkeypatch.setattr(distributed, "all_sum", lambda values: values + torch.tensor([6.0, 0.0]))  # of the other rank
    training = Training(config, tiny, tiny.split["train"], CPU)
    kind, objective, device = training.parallel
    assert (kind, objective.model, device) == ("parallel", training.model, CPU)
    for parameter in training.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    monkeypatch.setattr(training, "_backward", lambda *_: torch.tensor(1.0))
    monkeypatch.setattr(module.nn.utils, "clip_grad_norm_", lambda *_: torch.tensor(4.0))
    trained = training.train_epoch(1)
    assert trained.loss == 1.5  # three steps: (3 * 1 + 6) / 2 ranks / 3
    assert trained.gradient_norm == 2.0
    assert shared == [training.evaluated]


def test_batch_statistics_are_synchronised_before_the_model_is_placed(tiny, monkeypatch):
    given = []
    monkeypatch.setattr(distributed, "synchronised", lambda model, device: (given.append(device), model.eval())[1])
    training = Training(TrialConfig(model=ModelConfig(depth=2, width=4)), tiny, tiny.split["train"], CPU)
    assert given == [CPU]
    assert not training.model.training
