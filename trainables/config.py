"""The configuration of a trial, in a nested and in a flat form. Each part validates its settings on construction.

The flat form (`{"model.depth": 3, "loss.name": "focal", ...}`) is what a sampler proposes, the ledger stores and
TensorBoard shows. A field that does not apply to the chosen component is None and absent from the flat form. A field
that applies but is not given takes its default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, get_type_hints

from trainables.augmentation.transforms import AugmentationConfig
from trainables.losses.config import LossConfig
from trainables.models.config import ModelConfig
from trainables.optim.optimizers import OptimizerConfig
from trainables.optim.schedules import ScheduleConfig
from trainables.validation import check, check_name, check_positive, from_flat_fields, resolve, takes


@dataclass(frozen=True, kw_only=True)
class SecondStageConfig:
    """An optional second training stage: fine-tuning from the best epoch of the first stage."""

    name: str = "none"
    """none, or "frozen_encoder": encoder and its batch statistics are frozen, bottleneck and decoder train."""
    fraction: float | None = None
    """Fraction of `training.max_epochs` for the second stage, in (0, 1) (default 0.3). Only with a second stage."""
    lr: float | None = None
    """Peak learning rate of the second stage (default 3e-4). Only with a second stage."""

    def __post_init__(self) -> None:
        check_name(self, "name", ("none", "frozen_encoder"))
        resolve(self, {"fraction": ("name", ("frozen_encoder",), 0.3), "lr": ("name", ("frozen_encoder",), 3e-4)})
        if self.fraction is not None:
            check(self, "fraction", 0 < self.fraction < 1, "must be above 0 and below 1")
        if self.lr is not None:
            check_positive(self, "lr")


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """Settings of the epoch loop."""

    batch_size: int = 32
    """Images per optimizer step, summed over all ranks."""
    max_epochs: int = 30
    """Length of the learning-rate schedule, and the maximum number of epochs."""
    patience: int = 30
    """Early stopping: training ends after this many epochs without a better mean IoU on the validation part."""
    grad_clip: float = 1.0
    """Gradients are clipped to this global L2 norm."""
    ema_decay: float | None = None
    """Decay, in (0, 1), of the weights' exponential moving average, which is evaluated and saved. None: no average."""
    seed: int = 0
    """Seed of the initial weights and of everything that training draws at random, at least 0."""
    precision: str = "auto"
    """bf16 (autocast), fp32, or auto: bf16 on devices that support it natively."""

    def __post_init__(self) -> None:
        for name in ("batch_size", "max_epochs", "patience"):
            check(self, name, isinstance(getattr(self, name), int) and getattr(self, name) >= 1, "must be at least 1")
        check_positive(self, "grad_clip")
        if self.ema_decay is not None:
            check(self, "ema_decay", 0 < self.ema_decay < 1, "must be above 0 and below 1")
        check(self, "seed", isinstance(self.seed, int) and self.seed >= 0, "must be a whole number of at least 0")
        check_name(self, "precision", ("auto", "bf16", "fp32"))


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """The configuration of a trial: all its settings except the data set."""

    model: ModelConfig = field(default_factory=ModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    augmentation: AugmentationConfig = field(default_factory=AugmentationConfig)
    second_stage: SecondStageConfig = field(default_factory=SecondStageConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)

    def __post_init__(self) -> None:
        if self.loss.learn_ignored and self.model.background != "none":
            raise ValueError(
                f"loss.learn_ignored cannot be combined with model.background = {self.model.background!r}: "
                "the background network learns the ignored label"
            )

    def to_flat(self) -> dict[str, Any]:
        """Return the flat form, `{"model.depth": 3, ...}`: scalars, no None fields; tuples are joined ("1-2-4")."""
        flat: dict[str, Any] = {}
        for section in SECTIONS:
            values = getattr(self, section)
            for field_ in dataclasses.fields(values):
                value = getattr(values, field_.name)
                if field_.name == "parameters":
                    flat |= {f"{section}.{name}": given for name, given in value.items() if given is not None}
                elif value is not None:
                    separator, _ = field_.metadata.get("flat", ("", str))
                    flat[f"{section}.{field_.name}"] = separator.join(map(str, value)) if separator else value
        return flat

    @classmethod
    def from_flat(cls, flat: Mapping[str, Any]) -> TrialConfig:
        """Build a configuration from its flat form, the inverse of `to_flat`. Absent keys take their defaults.

        Raises:
            ValueError: if a key is unknown or a value violates the rule of its field.
        """
        nested: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
        for key, value in flat.items():
            section, _, name = key.partition(".")
            if section not in SECTIONS or not takes(SECTIONS[section], name):
                raise ValueError(f"unknown configuration key {key!r}: valid keys are {', '.join(cls().to_flat())}, ...")
            nested[section][name] = value
        return cls(**{section: from_flat_fields(kind, nested[section]) for section, kind in SECTIONS.items()})


SECTIONS: dict[str, type[Any]] = get_type_hints(TrialConfig)
"""The fields of `TrialConfig` and their types, by name."""
