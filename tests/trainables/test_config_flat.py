"""The flat form, names joined by a plus, and what two parts say of each other."""

from __future__ import annotations

import dataclasses

import pytest

from trainables.augmentation.transforms import AugmentationConfig
from trainables.config import SECTIONS, SecondStageConfig, TrialConfig
from trainables.losses.config import LossConfig
from trainables.models.config import ModelConfig


def test_several_values_are_joined_in_the_flat_form():
    flat = {
        "model.bottleneck": "aspp",
        "model.aspp_rates": "3-6",
        "loss.name": "dice+focal",
        "loss.term_weights": "2:0.5",
    }
    config = TrialConfig.from_flat(flat)
    assert config.model.aspp_rates == (3, 6)
    assert config.loss.term_weights == (2.0, 0.5)
    assert [type(rate) for rate in config.model.aspp_rates] == [int, int]
    assert config.to_flat()["model.aspp_rates"] == "3-6"
    assert config.to_flat()["loss.term_weights"] == "2.0:0.5"
    assert TrialConfig.from_flat(config.to_flat()) == config


def test_several_values_may_also_be_given_as_such():
    flat = {
        "model.bottleneck": "aspp",
        "model.aspp_rates": [3, 6],
        "loss.name": "dice+focal",
        "loss.term_weights": [2, 1],
    }
    config = TrialConfig.from_flat(flat)
    assert (config.model.aspp_rates, config.loss.term_weights) == ((3, 6), (2.0, 1.0))
    assert [type(weight) for weight in config.loss.term_weights] == [float, float]


def test_every_concern_goes_into_the_flat_form_and_back():
    flat = {
        "model.depth": 4,
        "loss.learn_ignored": True,
        "optimizer.lr": 0.02,
        "schedule.name": "cosine",
        "augmentation.oversampling": 2,
        "second_stage.name": "frozen_encoder",
        "training.seed": 3,
    }
    config = TrialConfig.from_flat(flat)
    expected = TrialConfig().to_flat() | flat | {"second_stage.fraction": 0.3, "second_stage.lr": 3e-4}
    del expected["schedule.warmup_fraction"]  # means nothing with cosine
    assert config.to_flat() == expected
    assert set(SECTIONS) == {key.partition(".")[0] for key in flat}
    for concern, part in SECTIONS.items():
        assert type(getattr(config, concern)) is part
        assert getattr(config, concern) != part()


@pytest.mark.parametrize(
    "key", ["depth", "model.", "model.speed", "speed.depth", "loss.depth", "model.depth.depth", ""]
)
def test_an_unknown_key_is_refused_with_the_known_ones(key):
    with pytest.raises(ValueError) as refused:
        TrialConfig.from_flat({"model.depth": 4, key: 3})
    known = ", ".join(TrialConfig().to_flat())
    assert str(refused.value) == f"unknown configuration key {key!r}: valid keys are {known}, ..."


def test_a_flat_form_is_not_changed_by_reading_it():
    flat = {"model.bottleneck": "aspp", "model.aspp_rates": "1-2"}
    TrialConfig.from_flat(flat)
    assert flat == {"model.bottleneck": "aspp", "model.aspp_rates": "1-2"}


@pytest.mark.parametrize("name", ["dice", "focal+dice", "dice+focal", "lovasz_softmax+focal+tversky"])
def test_losses_are_joined_in_any_order_and_each_weighs_1(name):
    config = LossConfig(name=name)
    terms = name.split("+")
    assert config.term_weights == ((1.0,) * len(terms) if len(terms) > 1 else None)
    assert config.parameters == ({"gamma": 2.0} if "focal" in terms else {}) | (
        {"alpha": 0.3} if "tversky" in terms else {}
    )


@pytest.mark.parametrize("name", ["", "+", "focal+", "focal+focal", "focal+dice+focal", "focal + dice", "focal+magic"])
def test_what_is_no_sum_of_different_losses_is_refused(name):
    from trainables.losses import LOSSES

    with pytest.raises(ValueError) as refused:
        LossConfig(name=name)
    assert str(refused.value) == (
        f"LossConfig.name = {name!r}: must be one of {', '.join(LOSSES)}, or several different ones joined by +"
    )


@pytest.mark.parametrize(("name", "weights"), [("dice", (1.0,)), ("dice+focal", (1.0,)), ("dice+focal", (1.0,) * 3)])
def test_there_is_one_weight_for_each_term_of_a_sum(name, weights):
    with pytest.raises(ValueError) as refused:
        LossConfig(name=name, term_weights=weights)
    assert str(refused.value) == (
        f"LossConfig.term_weights = {weights!r}: must have one weight for each term of a sum; the loss is {name!r}"
    )


def test_all_losses_may_be_joined():
    from trainables.losses import LOSSES

    assert len(LossConfig(name="+".join(LOSSES)).term_weights) == len(LOSSES)


@pytest.mark.parametrize("name", ["none", "hflip", "flips+crop", "crop+flips+rotate"])
def test_augmentations_are_joined_in_any_order(name):
    assert AugmentationConfig(name=name).name == name


@pytest.mark.parametrize("name", ["none+crop", "crop+none"])
def test_no_augmentation_stands_alone(name):
    with pytest.raises(ValueError) as refused:
        AugmentationConfig(name=name)
    assert str(refused.value) == f"AugmentationConfig.name = {name!r}: none cannot be combined with other names"


@pytest.mark.parametrize("background", ["joint", "sequential"])
def test_the_ignored_label_is_learned_by_the_loss_or_by_the_background_network(background):
    TrialConfig(model=ModelConfig(background=background))
    TrialConfig(loss=LossConfig(learn_ignored=True))
    with pytest.raises(ValueError) as refused:
        TrialConfig(model=ModelConfig(background=background), loss=LossConfig(learn_ignored=True))
    assert str(refused.value) == (
        f"loss.learn_ignored cannot be combined with model.background = {background!r}: "
        "the background network learns the ignored label"
    )


def test_a_part_with_its_defaults_filled_in_may_be_copied():
    config = SecondStageConfig(name="frozen_encoder")
    assert dataclasses.replace(config, fraction=0.5) == SecondStageConfig(name="frozen_encoder", fraction=0.5, lr=3e-4)
