"""What a trial is: one frozen dataclass per concern (`trainables.config_parts`), made from and to a flat dict.

The flat form (`{"model.depth": 3, "loss.name": "focal", ...}`) is what the search space suggests, the ledger stores
and TensorBoard shows. A field that means nothing for a choice is None and absent from the flat form.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from trainables.config_parts import (
    AugmentationConfig,
    LossConfig,
    ModelConfig,
    OptimizerConfig,
    ScheduleConfig,
    SecondStageConfig,
    TrainingConfig,
)

__all__ = [
    "CONCERNS",
    "AugmentationConfig",
    "LossConfig",
    "ModelConfig",
    "OptimizerConfig",
    "ScheduleConfig",
    "SecondStageConfig",
    "TrainingConfig",
    "TrialConfig",
]


@dataclass(frozen=True, kw_only=True)
class TrialConfig:
    """Everything that makes a trial what it is; the data apart."""

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
                f"loss.learn_ignored means nothing with model.background = {self.model.background!r}: "
                "the background network learns the ignored label"
            )

    def to_flat(self) -> dict[str, Any]:
        """`{"model.depth": 3, ...}` with plain scalars; None fields are absent, several rates read "1-2-4"."""
        flat = {}
        for concern in dataclasses.fields(self):
            for name, value in dataclasses.asdict(getattr(self, concern.name)).items():
                if value is not None:
                    flat[f"{concern.name}.{name}"] = TUPLES[name][1].join(map(str, value)) if name in TUPLES else value
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
            if name in TUPLES and isinstance(value, str):
                kind, separator = TUPLES[name]
                value = tuple(kind(part) for part in value.split(separator))
            nested[concern][name] = value
        return cls(**{concern: config(**nested[concern]) for concern, config in CONCERNS.items()})


TUPLES: dict[str, tuple[Callable[[str], float], str]] = {"aspp_rates": (int, "-"), "term_weights": (float, ":")}
"""Fields that hold several values: the type of one, and what stands between two in the flat form."""

CONCERNS: dict[str, type[Any]] = {
    "model": ModelConfig,
    "loss": LossConfig,
    "optimizer": OptimizerConfig,
    "schedule": ScheduleConfig,
    "augmentation": AugmentationConfig,
    "second_stage": SecondStageConfig,
    "training": TrainingConfig,
}
"""The fields of `TrialConfig` and their types."""
