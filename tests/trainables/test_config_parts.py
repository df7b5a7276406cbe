"""Each field of each part: its default, the values at both ends of its rule, and those just beyond."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import pytest

from trainables.augmentation.transforms import AugmentationConfig
from trainables.config import SECTIONS, SecondStageConfig, TrainingConfig, TrialConfig
from trainables.losses.config import LossConfig
from trainables.models.config import ModelConfig
from trainables.optim.optimizers import OPTIMIZERS, OptimizerConfig
from trainables.optim.schedules import SCHEDULES, ScheduleConfig

INF, NAN = math.inf, math.nan
ASPP, WEIGHTED = {"bottleneck": "aspp"}, {"name": "weighted_cross_entropy"}
SUM, TWO_STAGES = {"name": "focal+dice"}, {"name": "frozen_encoder"}
PART = "must be above 0 and below 1"
SHARE = "must be between 0 and 1"
BELOW_1 = "must be at least 0 and below 1"
POSITIVE = "must be a positive number"

RULES: list[tuple[type, dict[str, Any], str, list[Any], list[Any], str]] = [
    (ModelConfig, {}, "depth", [2, 3, 4, 5], [1, 6, 2.5], "must be 2, 3, 4 or 5"),
    (ModelConfig, {}, "width", [1, 64], [0, -1, 1.5], "must be a whole number of at least 1"),
    (
        ModelConfig,
        ASPP,
        "aspp_rates",
        [(1,), (1, 2), (6, 12, 18)],
        [(), (0, 1), (1, 0)],
        "must be one or more rates of at least 1",
    ),
    (ModelConfig, {}, "dropout", [0.0, 0.99], [-0.01, 1.0, NAN], BELOW_1),
    (ModelConfig, {}, "deep_supervision", [0.0, 1.0], [-0.01, 1.01, NAN], SHARE),
    (LossConfig, SUM, "term_weights", [(0.1, 5.0)], [(1.0, 0.0), (-1.0, 1.0), (INF, 1.0)], "must be positive numbers"),
    (LossConfig, {"name": "focal"}, "gamma", [0.0, 9.0], [-0.1, INF, NAN], "must be at least 0"),
    (LossConfig, WEIGHTED, "class_weight_exponent", [0.0, 2.0], [-0.1, 2.1, NAN], "must be between 0 and 2"),
    (LossConfig, WEIGHTED, "class_weight_cap", [1.0, 99.0], [0.9, INF, NAN], "must be at least 1"),
    (LossConfig, {"name": "tversky"}, "alpha", [0.01, 0.99], [0.0, 1.0, NAN], PART),
    (OptimizerConfig, {}, "lr", [1e-9, 2.0], [0.0, -1.0, INF, NAN], POSITIVE),
    (OptimizerConfig, {}, "weight_decay", [0.0, 3.0], [-0.1, INF, NAN], "must be at least 0"),
    (OptimizerConfig, {"name": "sgd"}, "momentum", [0.0, 0.99], [-0.1, 1.0, NAN], BELOW_1),
    (ScheduleConfig, {"name": "plateau"}, "factor", [0.01, 0.99], [0.0, 1.0, NAN], PART),
    (ScheduleConfig, {"name": "plateau"}, "patience", [0, 50], [-1], "must be at least 0"),
    (ScheduleConfig, {"name": "onecycle"}, "warmup_fraction", [0.01, 0.99], [0.0, 1.0, NAN], PART),
    (AugmentationConfig, {}, "cutmix", [0.0, 1.0], [-0.01, 1.01, NAN], SHARE),
    (AugmentationConfig, {}, "copy_paste", [0.0, 1.0], [-0.01, 1.01, NAN], SHARE),
    (AugmentationConfig, {}, "oversampling", [1, 7], [0, 1.5], "must be a whole number of at least 1"),
    (AugmentationConfig, {}, "rare_share", [0.0, 0.99], [-0.01, 1.0, NAN], "must be at least 0 and below 1"),
    (SecondStageConfig, TWO_STAGES, "fraction", [0.01, 0.99], [0.0, 1.0, NAN], PART),
    (SecondStageConfig, TWO_STAGES, "lr", [1e-9, 1.0], [0.0, -1.0, INF, NAN], POSITIVE),
    (TrainingConfig, {}, "batch_size", [1, 99], [0, 1.5], "must be at least 1"),
    (TrainingConfig, {}, "max_epochs", [1, 99], [0, 1.5], "must be at least 1"),
    (TrainingConfig, {}, "patience", [1, 99], [0, 1.5], "must be at least 1"),
    (TrainingConfig, {}, "grad_clip", [0.01, 9.0], [0.0, -1.0, INF, NAN], POSITIVE),
    (TrainingConfig, {}, "ema_decay", [0.001, 0.999, None], [0.0, 1.0, NAN], PART),
    (TrainingConfig, {}, "seed", [0, 7], [-1, 0.5], "must be a whole number of at least 0"),
]


def made(part: type, given: dict[str, Any], name: str, value: Any) -> Any:
    """A part with a value in the field, or for the parameter, of that name."""
    if name in {field.name for field in dataclasses.fields(part)}:
        return part(**given, **{name: value})
    return part(**given, parameters={name: value})


def value_of(config: Any, name: str) -> Any:
    return getattr(config, name) if hasattr(config, name) else config.parameters.get(name)


every_rule = pytest.mark.parametrize(
    ("part", "given", "name", "good", "bad", "rule"), RULES, ids=[f"{rule[0].__name__}.{rule[2]}" for rule in RULES]
)


@every_rule
def test_a_value_that_keeps_the_rule_is_taken_as_it_is(part, given, name, good, bad, rule):
    for value in good:
        assert value_of(made(part, given, name, value), name) == value


@every_rule
def test_a_value_just_beyond_the_rule_is_refused_with_the_field_the_value_and_the_rule(
    part, given, name, good, bad, rule
):
    for value in bad:
        with pytest.raises(ValueError) as refused:
            made(part, given, name, value)
        assert str(refused.value) == f"{part.__name__}.{name} = {value!r}: {rule}"


@pytest.mark.parametrize(
    ("part", "name", "known"),
    [
        (ModelConfig, "background", "none, joint, sequential"),
        (ModelConfig, "class_head", "none, auxiliary, gate"),
        (SecondStageConfig, "name", "none, frozen_encoder"),
        (TrainingConfig, "precision", "auto, bf16, fp32"),
        (ScheduleConfig, "name", ", ".join(SCHEDULES)),
        (OptimizerConfig, "name", ", ".join(OPTIMIZERS)),
    ],
)
def test_a_name_is_one_of_the_known_ones(part, name, known):
    for value in known.split(", "):
        assert getattr(part(**{name: value}), name) == value
    with pytest.raises(ValueError) as refused:
        part(**{name: "magic"})
    assert str(refused.value) == f"{part.__name__}.{name} = 'magic': must be one of {known}"


@pytest.mark.parametrize("name", ["block", "skip", "bottleneck"])
def test_the_parts_of_a_model_are_those_of_its_registries(name):
    from trainables import models

    registry = getattr(models, f"{name.upper()}S")
    for key in registry:
        assert getattr(ModelConfig(**{name: key}), name) == key
    with pytest.raises(ValueError, match=rf"^ModelConfig\.{name} = 'magic': must be one of {', '.join(registry)}$"):
        ModelConfig(**{name: "magic"})


CONDITIONS: list[tuple[type, str, Any, dict[str, str], dict[str, str], str]] = [
    (ModelConfig, "aspp_rates", (1, 2, 4), ASPP, {"bottleneck": "plain"}, "aspp"),
    (LossConfig, "gamma", 2.0, {"name": "focal"}, {"name": "dice"}, "focal"),
    (LossConfig, "class_weight_exponent", 0.5, WEIGHTED, {"name": "cross_entropy"}, "weighted_cross_entropy"),
    (LossConfig, "class_weight_cap", None, WEIGHTED, {"name": "cross_entropy"}, "weighted_cross_entropy"),
    (LossConfig, "alpha", 0.3, {"name": "tversky"}, {"name": "dice"}, "tversky, batch_tversky"),
    (LossConfig, "alpha", 0.3, {"name": "focal+batch_tversky"}, {"name": "batch_dice"}, "tversky, batch_tversky"),
    (OptimizerConfig, "momentum", 0.9, {"name": "sgd"}, {"name": "adamw"}, "sgd"),
    (ScheduleConfig, "factor", 0.5, {"name": "plateau"}, {"name": "onecycle"}, "plateau"),
    (ScheduleConfig, "patience", 5, {"name": "plateau"}, {"name": "cosine"}, "plateau"),
    (ScheduleConfig, "warmup_fraction", 0.3, {"name": "onecycle"}, {"name": "plateau"}, "onecycle"),
    (SecondStageConfig, "fraction", 0.3, TWO_STAGES, {"name": "none"}, "frozen_encoder"),
    (SecondStageConfig, "lr", 3e-4, TWO_STAGES, {"name": "none"}, "frozen_encoder"),
]


@pytest.mark.parametrize(
    ("part", "name", "default", "where", "elsewhere", "owner"),
    CONDITIONS,
    ids=[f"{condition[0].__name__}.{condition[1]}" for condition in CONDITIONS],
)
def test_a_field_has_its_default_where_it_means_something_and_is_none_elsewhere(
    part, name, default, where, elsewhere, owner
):
    assert value_of(part(**where), name) == default
    assert value_of(part(**elsewhere), name) is None
    value = (1, 2) if name == "aspp_rates" else 1
    ((field, choice),) = elsewhere.items()
    with pytest.raises(ValueError) as refused:
        made(part, elsewhere, name, value)
    assert str(refused.value) == (
        f"{part.__name__}.{name} = {value!r} has no effect with {field} = {choice!r}: it applies only to {owner}"
    )


def test_the_default_trial():
    assert TrialConfig().to_flat() == {
        "model.depth": 3,
        "model.width": 16,
        "model.block": "plain",
        "model.skip": "concat",
        "model.bottleneck": "plain",
        "model.dropout": 0.0,
        "model.deep_supervision": 0.0,
        "model.class_head": "none",
        "model.background": "none",
        "loss.name": "cross_entropy",
        "loss.learn_ignored": False,
        "optimizer.name": "adamw",
        "optimizer.lr": 1e-3,
        "optimizer.weight_decay": 1e-4,
        "schedule.name": "onecycle",
        "schedule.warmup_fraction": 0.3,
        "augmentation.name": "hflip",
        "augmentation.cutmix": 0.0,
        "augmentation.copy_paste": 0.0,
        "augmentation.oversampling": 1,
        "augmentation.rare_share": 0.0,
        "second_stage.name": "none",
        "training.batch_size": 32,
        "training.max_epochs": 30,
        "training.patience": 30,
        "training.grad_clip": 1.0,
        "training.seed": 0,
        "training.precision": "auto",
    }


@pytest.mark.parametrize("part", [*SECTIONS.values(), TrialConfig])
def test_a_part_is_given_by_name_and_stays_as_it_is(part):
    first = dataclasses.fields(part)[0].name
    with pytest.raises(TypeError):
        part(getattr(part(), first))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(part(), first, None)
