"""The search space of the U-Net family: its parameters, and which of their values are searched by default."""

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
    """Return the space of the U-Net family with its losses, optimizers, schedules and augmentations.

    The sizes are those of the profile. The default space holds what has helped on such data and is worth its cost:
    sizes, blocks, all skip connections, ASPP, deep supervision, cross-entropy and moderate variants of it, flips and
    crops, and what makes the rarest class less rare (copy-paste, a share of each batch, class weights).

    `wide` adds what the two reports and public solutions found useless or harmful, and what multiplies the cost of a
    trial. It takes trials from the rest of the space, so it is optional: region and boundary losses alone; rotations,
    distortions, brightness, coarse dropout, CutMix; a background network (twice the cost, and its output does not
    enter the score); the ignored class as a class; a second stage with a frozen encoder. A background network that is
    trained before the other network gives ASHA no score to compare until then: only the systems have it.
    """
    losses = MODERATE_LOSSES + (OTHER_LOSSES if wide else ())
    parameters = [
        Parameter(name="model.depth", choices=profile.depths, help="down-sampling steps of the U-Net"),
        Parameter(name="model.width", choices=profile.widths, help="channels of the first stage, doubled at each step"),
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
            help="head that predicts which classes are in the image",
        ),
        Parameter(name="model.dropout", low=0.0, high=0.5, help="probability of dropping a channel"),
        Parameter(name="model.deep_supervision", choices=(0.0, 0.5), help="weight of the auxiliary heads' losses"),
        Parameter(name="loss.name", choices=losses, help="training loss, without unlabelled pixels"),
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
            help="maximum ratio of the heaviest to the lightest class weight",
        ),
        Parameter(
            name="loss.gamma",
            low=0.5,
            high=4.0,
            when=("loss.name", tuple(name for name in losses if "focal" in name)),
            help="focusing parameter of the focal loss",
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
        Parameter(name="training.batch_size", choices=profile.batch_sizes, help="images per step"),
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
            help="minimum fraction of a batch's images that hold the rarest class",
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
            help="weight of a false positive in the Tversky loss",
        ),
        Parameter(
            name="augmentation.oversampling",
            choices=(1, 4, 12),
            help="how many times as often images that hold the rarest class are drawn",
        ),
        Parameter(name="augmentation.cutmix", choices=(0.0, 0.5), help="probability of CutMix"),
        Parameter(name="model.background", choices=("none", "joint"), help="separate network for the ignored class"),
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
            help="fraction of the epochs in the second stage",
        ),
        Parameter(
            name="second_stage.lr",
            low=3e-5,
            high=3e-3,
            log=True,
            when=("second_stage.name", ("frozen_encoder",)),
            help="peak learning rate of the second stage",
        ),
    ]
