"""What a trial is: one frozen dataclass per concern, validated when built, made from and to a flat dict.

The flat form (`{"model.depth": 3, "loss.name": "focal", ...}`) is what the search space suggests, the ledger stores
and TensorBoard shows. A field that means nothing for a choice (`gamma` without focal loss) is None and absent from the
flat form; one that means something and was left out is filled with its default when the dataclass is built.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# A default that applies only where another field has one of the given values: field -> (that field, values, default).
Conditions = Mapping[str, tuple[str, tuple[str, ...], Any]]


def _resolve(config: Any, conditions: Conditions) -> None:
    """Fill the conditional fields that apply; refuse those that are given where they mean nothing."""
    for name, (owner, values, default) in conditions.items():
        applies = getattr(config, owner) in values
        value = getattr(config, name)
        if applies and value is None:
            object.__setattr__(config, name, default)
        elif not applies and value is not None:
            raise ValueError(
                f"{type(config).__name__}.{name} = {value!r} means nothing with {owner} = {getattr(config, owner)!r}: "
                f"it belongs to {', '.join(values)}"
            )


def _check(config: Any, name: str, ok: bool, rule: str) -> None:
    if not ok:
        raise ValueError(f"{type(config).__name__}.{name} = {getattr(config, name)!r}: {rule}")


def _check_positive(config: Any, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _check(config, name, math.isfinite(value) and value > 0, "must be a positive number")


def _check_name(config: Any, name: str, known: tuple[str, ...]) -> None:
    _check(config, name, getattr(config, name) in known, f"known are {', '.join(known)}")


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The U-Net: its size and its parts (registries in `trainables.models`)."""

    depth: int = 3
    """Number of down-samplings, 2 to 5."""
    width: int = 16
    """Channels of the first encoder stage; each stage doubles them."""
    block: str = "plain"
    """Convolution block: a key of BLOCKS."""
    skip: str = "concat"
    """How encoder features join the decoder: a key of SKIPS."""
    bottleneck: str = "plain"
    """What follows the last encoder stage: a key of BOTTLENECKS."""
    aspp_rates: tuple[int, ...] | None = None
    """Dilation rates of the ASPP branches, in pixels of the bottleneck's map (default 1, 2, 4). Only with ASPP."""
    dropout: float = 0.0
    """Probability of dropping a channel, in [0, 1)."""

    def __post_init__(self) -> None:
        from trainables.models import BLOCKS, BOTTLENECKS, SKIPS

        _check(self, "depth", self.depth in range(2, 6), "must be 2, 3, 4 or 5")
        _check(self, "width", isinstance(self.width, int) and self.width >= 1, "must be a whole number of at least 1")
        for name, registry in (("block", BLOCKS), ("skip", SKIPS), ("bottleneck", BOTTLENECKS)):
            _check_name(self, name, tuple(registry))
        _resolve(self, {"aspp_rates": ("bottleneck", ("aspp",), (1, 2, 4))})
        if self.aspp_rates is not None:
            object.__setattr__(self, "aspp_rates", tuple(self.aspp_rates))
            _check(
                self,
                "aspp_rates",
                len(self.aspp_rates) > 0 and min(self.aspp_rates) >= 1,
                "must be rates of at least 1",
            )
        _check(self, "dropout", 0 <= self.dropout < 1, "must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The training loss: a key of `trainables.losses.LOSSES` and its parameters."""

    name: str = "cross_entropy"
    gamma: float | None = None
    """Focusing parameter of the focal loss (at least 0; default 2). Only with focal."""
    class_weight_exponent: float | None = None
    """Class weights are inverse class frequencies to this power (default 0.5). Only with weighted_cross_entropy."""

    def __post_init__(self) -> None:
        from trainables.losses import LOSSES

        _check_name(self, "name", tuple(LOSSES))
        _resolve(
            self,
            {
                "gamma": ("name", ("focal",), 2.0),
                "class_weight_exponent": ("name", ("weighted_cross_entropy",), 0.5),
            },
        )
        if self.gamma is not None:
            _check(self, "gamma", 0 <= self.gamma < math.inf, "must be at least 0")
        if self.class_weight_exponent is not None:
            _check(self, "class_weight_exponent", 0 <= self.class_weight_exponent <= 2, "must be between 0 and 2")


@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """The optimizer: a key of `trainables.optimizers.OPTIMIZERS` and its parameters."""

    name: str = "adamw"
    lr: float = 1e-3
    """Learning rate: the peak of the schedule."""
    weight_decay: float = 1e-4
    momentum: float | None = None
    """Momentum in [0, 1) (default 0.9). Only with SGD."""

    def __post_init__(self) -> None:
        from trainables.optimizers import OPTIMIZERS

        _check_name(self, "name", tuple(OPTIMIZERS))
        _check_positive(self, "lr")
        _check(self, "weight_decay", 0 <= self.weight_decay < math.inf, "must be at least 0")
        _resolve(self, {"momentum": ("name", ("sgd",), 0.9)})
        if self.momentum is not None:
            _check(self, "momentum", 0 <= self.momentum < 1, "must be at least 0 and below 1")


@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The learning-rate schedule: a key of `trainables.schedules.SCHEDULES` and its parameters."""

    name: str = "onecycle"
    factor: float | None = None
    """Learning rate is multiplied by this in (0, 1) when the score stalls (default 0.5). Only with plateau."""
    patience: int | None = None
    """Epochs without a better score before that happens (default 5). Only with plateau."""
    warmup_fraction: float | None = None
    """Part of all steps in which the learning rate rises, in (0, 1) (default 0.3). Only with onecycle."""

    def __post_init__(self) -> None:
        from trainables.schedules import SCHEDULES

        _check_name(self, "name", tuple(SCHEDULES))
        _resolve(
            self,
            {
                "factor": ("name", ("plateau",), 0.5),
                "patience": ("name", ("plateau",), 5),
                "warmup_fraction": ("name", ("onecycle",), 0.3),
            },
        )
        for name in ("factor", "warmup_fraction"):
            if (value := getattr(self, name)) is not None:
                _check(self, name, 0 < value < 1, "must be above 0 and below 1")
        if self.patience is not None:
            _check(self, "patience", self.patience >= 0, "must be at least 0")


@dataclass(frozen=True, kw_only=True)
class AugmentationConfig:
    """The training augmentation: a key of `trainables.augmentations.AUGMENTATIONS`."""

    name: str = "hflip"

    def __post_init__(self) -> None:
        from trainables.augmentations import AUGMENTATIONS

        _check_name(self, "name", tuple(AUGMENTATIONS))


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """How the epoch loop runs."""

    batch_size: int = 32
    """Images per optimizer step, over all ranks together."""
    max_epochs: int = 30
    """Length of the learning-rate schedule, and the epoch at which training ends at the latest."""
    patience: int = 30
    """Early stopping: epochs without a better mean IoU on the validation part before training ends."""
    grad_clip: float = 1.0
    """Upper bound of the gradient's L2 norm."""
    ema_decay: float | None = None
    """Decay, in (0, 1), of the weights' exponential moving average that is evaluated and kept. None: no average."""
    seed: int = 0
    precision: str = "auto"
    """bf16 (autocast), fp32, or auto: bf16 where the device computes in it natively."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_epochs", "patience"):
            _check(self, name, isinstance(getattr(self, name), int) and getattr(self, name) >= 1, "must be at least 1")
        _check_positive(self, "grad_clip")
        if self.ema_decay is not None:
            _check(self, "ema_decay", 0 < self.ema_decay < 1, "must be above 0 and below 1")
        _check(self, "seed", isinstance(self.seed, int) and self.seed >= 0, "must be a whole number of at least 0")
        _check_name(self, "precision", ("auto", "bf16", "fp32"))


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """Everything that makes a trial what it is; the data apart."""

    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def to_flat(self) -> dict[str, Any]:
        """`{"model.depth": 3, ...}` with plain scalars; None fields are absent, ASPP rates read "1-2-4"."""
        flat = {}
        for concern in dataclasses.fields(self):
            for name, value in dataclasses.asdict(getattr(self, concern.name)).items():
                if value is not None:
                    flat[f"{concern.name}.{name}"] = "-".join(map(str, value)) if isinstance(value, tuple) else value
        return flat

    @classmethod
    def from_flat(cls, flat: Mapping[str, Any]) -> TrialConfig:
        """The inverse of `to_flat`; what is absent takes its default.

        Raises:
            ValueError: for an unknown key or a value that breaks its field's rule.
        """
        nested: dict[str, dict[str, Any]] = {concern: {} for concern in CONCERNS}
        for key, value in flat.items():
            concern, _, name = key.partition(".")
            if concern not in CONCERNS or name not in {field.name for field in dataclasses.fields(CONCERNS[concern])}:
                raise ValueError(f"unknown configuration key {key!r}: known are {', '.join(cls().to_flat())}, ...")
            if name == "aspp_rates" and isinstance(value, str):
                value = tuple(int(rate) for rate in value.split("-"))
            nested[concern][name] = value
        return cls(**{concern: config(**nested[concern]) for concern, config in CONCERNS.items()})


CONCERNS: dict[str, type[Any]] = {
    "model": ModelConfig,
    "loss": LossConfig,
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
    "augmentation": AugmentationConfig,
    "training": TrainingConfig,
}
"""The fields of `TrialConfig` and their types."""
