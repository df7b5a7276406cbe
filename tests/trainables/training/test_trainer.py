"""One epoch of a training, against a loop written out by hand."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from trainables import distributed
from trainables.augmentation.mixing import Mixing
from trainables.augmentation.transforms import AugmentationConfig
from trainables.config import SecondStageConfig, TrainingConfig, TrialConfig
from trainables.data.batches import Batches
from trainables.losses import build_loss
from trainables.losses.config import LossConfig
from trainables.models import build_model
from trainables.models.config import ModelConfig
from trainables.optim.optimizers import OptimizerConfig
from trainables.optim.schedules import ScheduleConfig
from trainables.training import trainer as module
from trainables.training.trainer import Training

CPU = torch.device("cpu")
PLAIN = TrialConfig(
    model=ModelConfig(depth=2, width=4),
    optimizer=OptimizerConfig(name="sgd", lr=0.5, weight_decay=0.0, parameters={"momentum": 0.0}),
    schedule=ScheduleConfig(name="constant"),
    augmentation=AugmentationConfig(name="none"),
    training=TrainingConfig(batch_size=8, max_epochs=4, precision="fp32", seed=3, grad_clip=1e9),
)


def plain(**fields) -> TrialConfig:
    """`model={"dropout": 0.5}` changes that field of that concern."""
    return dataclasses.replace(
        PLAIN, **{name: dataclasses.replace(getattr(PLAIN, name), **changes) for name, changes in fields.items()}
    )


def training_of(data, config=PLAIN, indices=None, **arguments) -> Training:
    return Training(config, data, data.split["train"] if indices is None else indices, CPU, **arguments)


def weights(model: nn.Module) -> dict[str, torch.Tensor]:
    """And batch statistics, without the number of batches in them, which nothing uses."""
    return {name: value.clone() for name, value in model.state_dict().items() if value.is_floating_point()}


def assert_same(one, other, **tolerance) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        torch.testing.assert_close(value, other[name], msg=lambda text, name=name: f"{name}: {text}", **tolerance)


@pytest.mark.parametrize("clip", [0.05, 1e9])
@pytest.mark.parametrize("decay", [None, 0.15, 0.75])
def test_an_epoch_is_a_step_of_the_clipped_gradient_for_each_batch(clip, decay, tiny):
    training = training_of(tiny, plain(training={"grad_clip": clip, "ema_decay": decay}))
    model = copy.deepcopy(training.model).train()
    average: dict[str, torch.Tensor] | None = None
    losses, norms = [], []
    for images, masks in Batches(tiny, tiny.split["train"], batch_size=8, device=CPU).shuffled(3, 2):
        model.zero_grad()
        loss = functional.cross_entropy(model(images), masks, ignore_index=0)
        loss.backward()
        norm = torch.stack([parameter.grad.square().sum() for parameter in model.parameters()]).sum().sqrt()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.5 * parameter.grad * min(1.0, clip / float(norm))
        now = weights(model)
        # The decay warms up: 2/11 at the second step, 3/12 at the third.
        warm = 0 if decay is None else min(decay, (1 + len(losses)) / (10 + len(losses)))
        average = now if average is None or decay is None else mixed(average, now, warm)
        losses.append(loss.item())
        norms.append(norm.item())
    trained = training.train_epoch(2)
    assert len(losses) == 3
    assert max(norms) > 0.05 * 3  # the gradient is clipped where the bound is 0.05
    assert trained.loss == pytest.approx(np.mean(losses), rel=1e-4)
    assert trained.gradient_norm == pytest.approx(np.mean(norms), rel=1e-3)
    assert_same(weights(training.model), weights(model), rtol=1e-3, atol=1e-4)
    assert_same(weights(training.evaluated), average, rtol=1e-3, atol=1e-4)
    assert (training.evaluated is training.model) == (decay is None)


def mixed(average, now, decay):
    """The first step's weights count fully, as there is nothing before them; batch statistics are averaged as well."""
    return {name: decay * average[name] + (1 - decay) * value for name, value in now.items()}


@pytest.mark.parametrize(("second_stage", "epochs"), [(False, 4), (True, 2)])
def test_the_schedule_takes_a_step_for_each_batch_and_ends_with_its_stage(second_stage, epochs, tiny):
    config = dataclasses.replace(plain(training={"max_epochs": 4}), schedule=ScheduleConfig(name="cosine"))
    if second_stage:
        second = SecondStageConfig(name="frozen_encoder", fraction=0.5, lr=0.2)
        config = dataclasses.replace(config, second_stage=second)
    training = training_of(tiny, config)
    assert training.learning_rate == 0.5
    training.train_epoch(1)
    # 3 of 3 * epochs steps down a cosine from 0.5 to a hundredth of it
    expected = 0.005 + 0.495 * (1 + math.cos(math.pi / epochs)) / 2
    assert training.learning_rate == pytest.approx(expected, rel=1e-6)
    if second_stage:
        training.begin_stage(2)
        assert training.learning_rate == 0.2
        training.train_epoch(2)
        assert training.learning_rate == pytest.approx(0.002 + 0.198 / 2, rel=1e-6)


def test_images_per_second_are_those_of_the_batches_and_not_of_the_left_out_rest(tiny, monkeypatch):
    training = training_of(tiny, indices=tiny.split["train"][:23])  # two batches of 8
    readings = iter([10.0, 12.5])
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: next(readings)))
    trained = training.train_epoch(1)
    assert trained.seconds == 2.5
    assert trained.images_per_second == 6.4


def test_initial_weights_depend_on_the_seed_alone(tiny):
    torch.manual_seed(99)
    training = training_of(tiny)
    torch.manual_seed(3)
    model = build_model(PLAIN.model, in_channels=1, num_classes=4)
    assert_same(weights(training.model), weights(model), rtol=0, atol=0)
    assert training.parameters == sum(parameter.numel() for parameter in model.parameters())
    other = weights(training_of(tiny, plain(training={"seed": 4})).model)
    assert any((other[name] != value).any() for name, value in weights(model).items())


def test_what_an_epoch_draws_depends_on_seed_epoch_and_rank_alone(tiny, monkeypatch):
    drawn = {}
    for seed, epoch, rank in [*itertools.product([3, 4], [1, 2], [0, 1]), (3, 1, 0)]:
        with monkeypatch.context() as there:
            training = training_of(tiny, plain(training={"seed": seed}), indices=tiny.split["train"][:8])
            there.setattr(distributed, "rank", lambda rank=rank: rank)
            there.setattr(training.batches, "shuffled", lambda *_: iter(()))
            training.train_epoch(epoch)
        numbers = tuple(torch.rand(3).tolist())
        assert drawn.setdefault((seed, epoch, rank), numbers) == numbers
    assert len(set(drawn.values())) == 8


def test_the_model_is_in_training_mode_again_after_it_was_evaluated(tiny):
    training = training_of(tiny, plain(model={"dropout": 0.5}))
    training.evaluated.eval()
    training.train_epoch(1)
    assert all(part.training for part in training.model.modules())


def test_each_epoch_has_the_batches_of_its_seed_and_number_with_all_changes(tiny, monkeypatch):
    augmentation = AugmentationConfig(name="flips+crop", cutmix=0.5, oversampling=3, rare_share=0.25)
    config = dataclasses.replace(PLAIN, augmentation=augmentation)
    chosen = tiny.split["train"][:20]
    training = training_of(tiny, config, chosen)
    mixing, augmenting = training.changes
    assert isinstance(mixing, Mixing)
    assert mixing.indices is chosen
    assert augmenting(tiny.images[0], tiny.masks[0], 1)[0].shape == (16, 24)
    seen = []
    monkeypatch.setattr(training, "_backward", lambda *batch: (seen.append(batch), torch.tensor(0.0))[1])
    training.train_epoch(2)
    expected = Batches(tiny, chosen, batch_size=8, device=CPU, oversampling=3, rare_share=0.25).shuffled(
        3, 2, [mixing, augmenting]
    )
    for (images, masks), (wanted_images, wanted_masks) in zip(seen, expected, strict=True):
        assert torch.equal(images, wanted_images)
        assert torch.equal(masks, wanted_masks)
        assert images.is_contiguous(memory_format=torch.channels_last)


def test_without_augmentation_nothing_is_changed(tiny):
    assert training_of(tiny).changes == []
    config = dataclasses.replace(PLAIN, augmentation=AugmentationConfig(name="hflip"))
    assert len(training_of(tiny, config).changes) == 1


def test_class_weights_are_those_of_the_training_images(tiny):
    chosen = tiny.split["train"][:3]
    config = LossConfig(name="weighted_cross_entropy", parameters={"class_weight_exponent": 1.0})
    training = training_of(tiny, dataclasses.replace(PLAIN, loss=config), chosen)
    expected = build_loss(config, described=tiny.description, pixel_counts=tiny.pixel_counts(chosen))
    logits, masks = torch.randn(2, 4, 16, 24), torch.randint(0, 4, (2, 16, 24))
    assert training.loss(logits, masks) == expected(logits, masks)


@pytest.mark.parametrize(
    "augmentation", [{"oversampling": 6}, {"rare_share": 0.5}, {"copy_paste": 1.0}, {"rare_share": 0.25, "cutmix": 1.0}]
)
def test_class_weights_are_those_of_what_is_drawn(augmentation, tiny):
    """At exponent 1 each class has the same part of the loss of what is drawn."""
    loss = LossConfig(name="weighted_cross_entropy", parameters={"class_weight_exponent": 1.0})
    config = dataclasses.replace(PLAIN, loss=loss, augmentation=AugmentationConfig(name="none", **augmentation))
    training = training_of(tiny, config)
    counts = np.zeros(4)
    for epoch in range(40):
        for _, masks in training.batches.shuffled(3, epoch, training.changes):
            counts += np.bincount(masks.ravel(), minlength=4)
    one_of_each = torch.tensor([[[1, 2, 3]]])
    weights = [
        float(training.loss(torch.zeros(1, 4, 1, 3), torch.where(one_of_each == label, label, 0)))
        for label in (1, 2, 3)
    ]
    parts = counts[1:] * weights
    assert parts / parts.sum() == pytest.approx([1 / 3] * 3, rel=0.1)


@pytest.mark.parametrize(("precision", "bf16"), [("fp32", False), ("bf16", True)])
def test_the_precision_is_that_of_the_configuration(precision, bf16, tiny):
    training = training_of(tiny, plain(training={"precision": precision}))
    assert training.bf16 is training.parallel.bf16 is bf16


def test_a_pair_of_networks_looks_for_the_ignored_label(tiny):
    training = training_of(tiny, plain(model={"background": "joint"}))
    assert training.model.ignored.flatten().tolist() == [True, False, False, False]
    assert training.parallel.ignored_label == 0
    assert (training.parallel.model, training.parallel.loss) == (training.model, training.loss)


def test_weights_lie_as_convolutions_are_fastest(tiny):
    layers = [part for part in training_of(tiny).model.modules() if isinstance(part, nn.Conv2d)]
    assert all(layer.weight.is_contiguous(memory_format=torch.channels_last) for layer in layers)


def test_an_epoch_goes_on_from_a_saved_state_as_if_nothing_had_been(tiny):
    config = dataclasses.replace(
        plain(training={"ema_decay": 0.5}, optimizer={"parameters": {"momentum": 0.9}}),
        schedule=ScheduleConfig(name="onecycle"),
    )
    training = training_of(tiny, config)
    training.train_epoch(1)
    saved = copy.deepcopy(training.state_dict())
    other = training_of(tiny, config)
    other.load_state_dict(saved)
    assert_same(weights(training.evaluated), weights(other.evaluated), rtol=0, atol=0)
    assert other.learning_rate == training.learning_rate
    one, another = training.train_epoch(2), other.train_epoch(2)
    assert (one.loss, one.gradient_norm) == (another.loss, another.gradient_norm)
    assert other.learning_rate == training.learning_rate
    for model in ("model", "evaluated"):
        assert_same(weights(getattr(training, model)), weights(getattr(other, model)), rtol=0, atol=0)
