"""The search space of the U-Net family: which parameters there are, and what is searched by default."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from search.study.profiles import Profile

from search.study.space import Parameter, Space

MODERATE_LOSSES = (
    "cross_entropy",
    "weighted_cross_entropy",
    "focal",
    "focal+batch_dice",
    "cross_entropy+lovasz_softmax",
)

OTHER_LOSSES = (
    "focal+dice",
    "cross_entropy+batch_tversky",
    "dice",
    "jaccard",
    "tversky",
    "lovasz_softmax",
    "boundary",
    "cross_entropy+boundary",
)

MODERATE_AUGMENTATIONS = ("none", "hflip", "flips", "flips+crop")

OTHER_AUGMENTATIONS = (
    "crop",
    "hflip+rotate",
    "hflip+brightness",
    "hflip+elastic",
    "hflip+grid_distortion",
    "hflip+coarse_dropout",
)


def unet_space(profile: Profile, *, wide: bool = False) -> Space:
    """The U-Net family with its losses, optimizers, schedules and augmentations, in the profile's sizes.

    Searched by default is what helped somebody on such data and costs no more than it brings: sizes, blocks, every skip
    connection, ASPP, deep supervision, cross-entropy and its moderate relatives, flips and crops, and what makes the
    rarest class less rare (copy-paste, a share of each batch, class weights).

    `wide` adds what two reports and the public solutions found useless or harmful, and what multiplies a trial's cost.
    Each would take trials from the rest, so it is for those who want to know: region and boundary losses alone;
    rotations, distortions, brightness, coarse dropout, CutMix; a background network (twice the cost, and its verdict is
    free in the score); the ignored class as a class; a second stage with a frozen encoder. A background network that is
    trained before the other leaves no score for ASHA to judge by until then: it is among the systems only.
    """
    losses = MODERATE_LOSSES + (OTHER_LOSSES if wide else ())
    parameters = [
        Parameter(name="model.depth", choices=profile.depths, help="down-samplings of the U-Net"),
        Parameter(name="model.width", choices=profile.widths, help="channels of the first stage, doubled by each"),
        Parameter(
            name="model.block", choices=("plain", "residual", "plain_se", "residual_se"), help="convolution block"
        ),
        Parameter(
            name="model.skip", choices=("concat", "add", "fusion", "gated", "attention"), help="skip connections"
        ),
        Parameter(name="model.bottleneck", choices=("plain", "aspp", "psp"), help="context at the bottleneck"),
        Parameter(
            name="model.aspp_rates",
            choices=("1-2-4", "2-4-6", "3-6-9"),
            when=("model.bottleneck", ("aspp",)),
            help="dilation rates of ASPP",
        ),
        Parameter(
            name="model.class_head",
            choices=("none", "auxiliary", "gate"),
            help="a head that tells which classes an image shows",
        ),
        Parameter(name="model.dropout", low=0.0, high=0.5, help="probability of dropping a channel"),
        Parameter(name="model.deep_supervision", choices=(0.0, 0.5), help="weight of the auxiliary heads' losses"),
        Parameter(name="loss.name", choices=losses, help="training loss, unlabelled pixels left out"),
        Parameter(
            name="loss.class_weight_exponent",
            low=0.1,
            high=1.0,
            when=("loss.name", ("weighted_cross_entropy",)),
            help="class weight = 1 / class frequency to this power",
        ),
        Parameter(
            name="loss.class_weight_cap",
            low=5.0,
            high=100.0,
            log=True,
            when=("loss.name", ("weighted_cross_entropy",)),
            help="heaviest class weight over the lightest",
        ),
        Parameter(
            name="loss.gamma",
            low=0.5,
            high=4.0,
            when=("loss.name", tuple(name for name in losses if "focal" in name)),
            help="focusing of the focal loss",
        ),
        Parameter(name="optimizer.name", choices=("adamw", "adam", "sgd"), help="optimizer"),
        Parameter(
            name="optimizer.lr",
            low=2e-4,
            high=1e-2,
            log=True,
            when=("optimizer.name", ("adamw", "adam")),
            help="peak learning rate of Adam and AdamW",
        ),
        Parameter(
            name="optimizer.sgd_lr",
            key="optimizer.lr",
            low=5e-3,
            high=3e-1,
            log=True,
            when=("optimizer.name", ("sgd",)),
            help="peak learning rate of SGD",
        ),
        Parameter(
            name="optimizer.momentum", low=0.8, high=0.98, when=("optimizer.name", ("sgd",)), help="momentum of SGD"
        ),
        Parameter(name="optimizer.weight_decay", low=1e-6, high=1e-1, log=True, help="weight decay"),
        Parameter(
            name="schedule.name", choices=("onecycle", "cosine", "plateau", "constant"), help="learning-rate schedule"
        ),
        Parameter(name="training.batch_size", choices=profile.batch_sizes, help="images a step"),
        Parameter(
            name="augmentation.name",
            choices=MODERATE_AUGMENTATIONS + (OTHER_AUGMENTATIONS if wide else ()),
            help="augmentation of image and mask",
        ),
        Parameter(
            name="augmentation.copy_paste",
            choices=(0.0, 0.02, 0.05, 0.1, 0.2),
            help="probability of pasting the rarest class in",
        ),
        Parameter(
            name="augmentation.rare_share",
            choices=(0.0, 0.125, 0.25),
            help="least part of a batch's images that hold the rarest class",
        ),
    ]
    if wide:
        parameters += _wide_parameters(losses)
    return Space(tuple(parameters))


def _wide_parameters(losses: tuple[str, ...]) -> list[Parameter]:
    return [
        Parameter(
            name="loss.alpha",
            low=0.1,
            high=0.9,
            when=("loss.name", tuple(name for name in losses if "tversky" in name)),
            help="what a false positive counts in the Tversky loss",
        ),
        Parameter(
            name="augmentation.oversampling", choices=(1, 4, 12), help="draws of an image that holds the rarest class"
        ),
        Parameter(name="augmentation.cutmix", choices=(0.0, 0.5), help="probability of CutMix"),
        Parameter(name="model.background", choices=("none", "joint"), help="a network for the ignored class"),
        Parameter(
            name="loss.learn_ignored",
            choices=(False, True),
            when=("model.background", ("none",)),
            help="train on the ignored class as well",
        ),
        Parameter(name="second_stage.name", choices=("none", "frozen_encoder"), help="fine-tuning after the training"),
        Parameter(
            name="second_stage.fraction",
            low=0.1,
            high=0.5,
            when=("second_stage.name", ("frozen_encoder",)),
            help="its part of the epochs",
        ),
        Parameter(
            name="second_stage.lr",
            low=3e-5,
            high=3e-3,
            log=True,
            when=("second_stage.name", ("frozen_encoder",)),
            help="its peak learning rate",
        ),
    ]
