"""What is searched, written down a second time: a changed range is a changed experiment."""

from __future__ import annotations

import pytest

from search.study.profiles import PROFILES
from search.study.systems import systems_space
from search.study.unet_space import unet_space

LOSSES = ["cross_entropy", "weighted_cross_entropy", "focal", "focal+batch_dice", "cross_entropy+lovasz_softmax"]
WIDE_LOSSES = [
    *LOSSES,
    "focal+dice",
    "cross_entropy+batch_tversky",
    *["dice", "jaccard", "tversky", "lovasz_softmax", "boundary", "cross_entropy+boundary"],
]
AUGMENTATIONS = ["none", "hflip", "flips", "flips+crop"]
WIDE_AUGMENTATIONS = [
    *AUGMENTATIONS,
    *["crop", "hflip+rotate", "hflip+brightness", "hflip+elastic", "hflip+grid_distortion", "hflip+coarse_dropout"],
]
LOG = "log scale"


def range_of(parameter):
    """(what, when): choices or (low, high[, log])."""
    if parameter.choices is not None:
        what = list(parameter.choices)
    else:
        what = (parameter.low, parameter.high, *([LOG] if parameter.log else []))
    return what, (parameter.when[0], *parameter.when[1]) if parameter.when else None


CPU = {
    "model.depth": ([2, 3, 4], None),
    "model.width": ([8, 16], None),
    "model.block": (["plain", "residual", "plain_se", "residual_se"], None),
    "model.skip": (["concat", "add", "fusion", "gated", "attention"], None),
    "model.bottleneck": (["plain", "aspp", "psp"], None),
    "model.aspp_rates": (["1-2-4", "2-4-6", "3-6-9"], ("model.bottleneck", "aspp")),
    "model.class_head": (["none", "auxiliary", "gate"], None),
    "model.dropout": ((0.0, 0.5), None),
    "model.deep_supervision": ([0.0, 0.5], None),
    "loss.name": (LOSSES, None),
    "loss.class_weight_exponent": ((0.1, 1.0), ("loss.name", "weighted_cross_entropy")),
    "loss.class_weight_cap": ((5.0, 100.0, LOG), ("loss.name", "weighted_cross_entropy")),
    "loss.gamma": ((0.5, 4.0), ("loss.name", "focal", "focal+batch_dice")),
    "optimizer.name": (["adamw", "adam", "sgd"], None),
    "optimizer.lr": ((2e-4, 1e-2, LOG), ("optimizer.name", "adamw", "adam")),
    "optimizer.sgd_lr": ((5e-3, 3e-1, LOG), ("optimizer.name", "sgd")),
    "optimizer.momentum": ((0.8, 0.98), ("optimizer.name", "sgd")),
    "optimizer.weight_decay": ((1e-6, 1e-1, LOG), None),
    "schedule.name": (["onecycle", "cosine", "plateau", "constant"], None),
    "training.batch_size": ([8, 16, 32], None),
    "augmentation.name": (AUGMENTATIONS, None),
    "augmentation.copy_paste": ([0.0, 0.02, 0.05, 0.1, 0.2], None),
    "augmentation.rare_share": ([0.0, 0.125, 0.25], None),
}
WIDE = CPU | {
    "loss.name": (WIDE_LOSSES, None),
    "loss.gamma": ((0.5, 4.0), ("loss.name", "focal", "focal+batch_dice", "focal+dice")),
    "augmentation.name": (WIDE_AUGMENTATIONS, None),
    "loss.alpha": ((0.1, 0.9), ("loss.name", "cross_entropy+batch_tversky", "tversky")),
    "augmentation.oversampling": ([1, 4, 12], None),
    "augmentation.cutmix": ([0.0, 0.5], None),
    "model.background": (["none", "joint"], None),
    "loss.learn_ignored": ([False, True], ("model.background", "none")),
    "second_stage.name": (["none", "frozen_encoder"], None),
    "second_stage.fraction": ((0.1, 0.5), ("second_stage.name", "frozen_encoder")),
    "second_stage.lr": ((3e-5, 3e-3, LOG), ("second_stage.name", "frozen_encoder")),
}
GPU_SIZES = {
    "model.depth": ([2, 3, 4, 5], None),
    "model.width": ([16, 32, 48, 64], None),
    "training.batch_size": ([16, 32, 64], None),
}


@pytest.mark.parametrize(
    ("space", "expected"),
    [
        (unet_space(PROFILES["cpu"]), CPU),
        (unet_space(PROFILES["cpu"], wide=True), WIDE),
        (unet_space(PROFILES["gpu"]), CPU | GPU_SIZES),
        (unet_space(PROFILES["gpu"], wide=True), WIDE | GPU_SIZES),
    ],
    ids=["cpu", "cpu-wide", "gpu", "gpu-wide"],
)
def test_a_space_has_just_these_parameters_in_this_order(space, expected):
    declared = {parameter.name: range_of(parameter) for parameter in space.parameters}
    assert declared == expected
    assert list(declared) == list(expected)
    assert [(p.name, p.key) for p in space.parameters if p.key] == [("optimizer.sgd_lr", "optimizer.lr")]
    assert not any(parameter.whole for parameter in space.parameters)


def test_every_parameter_says_what_it_is():
    spaces = [unet_space(PROFILES["cpu"], wide=True), systems_space({})]
    texts = [parameter.help for space in spaces for parameter in space.parameters]
    assert all(texts)
    assert len(set(texts)) == len(texts)
