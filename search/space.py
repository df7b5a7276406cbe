"""The search space: declared once, read by Optuna, TensorBoard, the report and `--help`.

Conditional: a parameter exists only where it means something (ASPP rates with ASPP, momentum with SGD, gamma with
focal loss). The choices of a categorical never vary within a study: they come from its profile, which the ledger
records.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna

    from search.profiles import Profile

Scalar = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One dimension: either `choices`, or a float range from `low` to `high`."""

    name: str
    """Its name in the study; also the key in the flat `TrialConfig`, unless `key` says another."""
    help: str
    choices: tuple[Scalar, ...] | None = None
    low: float | None = None
    high: float | None = None
    log: bool = False
    when: tuple[str, tuple[Scalar, ...]] | None = None
    """The parameter exists only where that earlier parameter has one of those values."""
    key: str | None = None

    def suggest(self, trial: optuna.Trial) -> Scalar:
        if self.choices is not None:
            return trial.suggest_categorical(self.name, self.choices)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

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


def unet_space(profile: Profile) -> Space:
    """The U-Net family with its losses, optimizers, schedules and augmentations, in the profile's sizes."""
    return Space(
        (
            Parameter(name="model.depth", choices=profile.depths, help="down-samplings of the U-Net"),
            Parameter(name="model.width", choices=profile.widths, help="channels of the first stage, doubled by each"),
            Parameter(name="model.block", choices=("plain", "residual"), help="convolution block"),
            Parameter(name="model.skip", choices=("concat", "attention"), help="skip connections"),
            Parameter(name="model.bottleneck", choices=("plain", "aspp"), help="context at the bottleneck"),
            Parameter(
                name="model.aspp_rates",
                choices=("1-2-4", "2-4-6", "3-6-9"),
                when=("model.bottleneck", ("aspp",)),
                help="dilation rates of ASPP",
            ),
            Parameter(name="model.dropout", low=0.0, high=0.5, help="probability of dropping a channel"),
            Parameter(
                name="loss.name",
                choices=("cross_entropy", "weighted_cross_entropy", "focal", "dice"),
                help="training loss, unlabelled pixels left out",
            ),
            Parameter(
                name="loss.class_weight_exponent",
                low=0.1,
                high=1.0,
                when=("loss.name", ("weighted_cross_entropy",)),
                help="class weight = 1 / class frequency to this power",
            ),
            Parameter(
                name="loss.gamma", low=0.5, high=4.0, when=("loss.name", ("focal",)), help="focusing of the focal loss"
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
                name="optimizer.momentum",
                low=0.8,
                high=0.98,
                when=("optimizer.name", ("sgd",)),
                help="momentum of SGD",
            ),
            Parameter(name="optimizer.weight_decay", low=1e-6, high=1e-1, log=True, help="weight decay"),
            Parameter(
                name="schedule.name",
                choices=("onecycle", "cosine", "plateau", "constant"),
                help="learning-rate schedule",
            ),
            Parameter(name="training.batch_size", choices=profile.batch_sizes, help="images a step"),
            Parameter(
                name="augmentation.name",
                choices=("none", "hflip", "flips", "flips_crop"),
                help="augmentation of image and mask",
            ),
        )
    )
