"""The search space: declared once, read by Optuna, TensorBoard, the report and `--help`.

Conditional: a parameter exists only where it means something (ASPP rates with ASPP, momentum with SGD, gamma with
focal loss). The choices of a categorical never vary within a study: they come from its profile, which the ledger
records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

    from search.profiles import Profile

Scalar = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One dimension: either `choices`, or a range from `low` to `high`."""

    name: str
    """Its name in the study; also the key in the flat `TrialConfig`, unless `key` says another."""
    help: str
    choices: tuple[Scalar, ...] | None = None
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    """Whether the range has whole numbers only."""
    when: tuple[str, tuple[Scalar, ...]] | None = None
    """The parameter exists only where that earlier parameter has one of those values."""
    key: str | None = None

    def suggest(self, trial: optuna.Trial) -> Scalar:
        if self.choices is not None:
            return trial.suggest_categorical(self.name, self.choices)
        assert self.low is not None
        assert self.high is not None
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def nearest(self, value: Scalar) -> Scalar | None:
        """The value itself, or for a number the nearest that there is; None for a name that is none."""
        if self.choices is None:
            if isinstance(value, str | bool):
                return None
            assert self.low is not None
            assert self.high is not None
            return min(max(float(value), self.low), self.high)
        if value in self.choices:
            return value
        numbers = [choice for choice in self.choices if not isinstance(choice, str | bool)]
        if isinstance(value, str | bool) or not numbers:
            return None
        return min(numbers, key=lambda choice: abs(choice - value))

    def describe_range(self) -> str:
        if self.choices is not None:
            return " | ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}{', log scale' if self.log else ''}"

    def describe_condition(self) -> str:
        return f"{self.when[0]} = {' | '.join(map(str, self.when[1]))}" if self.when else ""


@dataclass(frozen=True)
class Space:
    """Parameters in an order in which each follows the one it depends on."""

    parameters: tuple[Parameter, ...]

    def suggest(self, trial: optuna.Trial) -> dict[str, Scalar]:
        """Ask the trial for every parameter that exists for it.

        Returns: values for the flat `TrialConfig`. Asked again, the trial gives the same ones.
        """
        values: dict[str, Scalar] = {}
        config: dict[str, Scalar] = {}
        for parameter in self.parameters:
            if parameter.when is None or values.get(parameter.when[0]) in parameter.when[1]:
                value = values[parameter.name] = parameter.suggest(trial)
                config[parameter.key or parameter.name] = value
        return config

    def existing(self, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Of values for all parameters those of the ones that exist beside the others."""
        found: dict[str, Scalar] = {}
        for parameter in self.parameters:
            if parameter.name in values and (
                parameter.when is None or found.get(parameter.when[0]) in parameter.when[1]
            ):
                found[parameter.name] = values[parameter.name]
        return found

    def nearest(self, config: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """The point nearest to a configuration in the flat form of `TrialConfig`, by parameter.

        A parameter that the configuration leaves to its default, or whose value is no choice, is left out.
        """
        values: dict[str, Scalar] = {}
        for parameter in self.parameters:
            if parameter.when is not None and values.get(parameter.when[0]) not in parameter.when[1]:
                continue
            given = config.get(parameter.key or parameter.name)
            if given is not None and (value := parameter.nearest(given)) is not None:
                values[parameter.name] = value
        return values


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
