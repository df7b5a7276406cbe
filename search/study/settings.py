"""What makes a study what it is. Recorded in its ledger; a study only continues under the same settings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.json_records import from_json
from search.study.baselines import systems_space
from search.study.profiles import PROFILES
from search.study.rung_metric import RUNG_METRICS
from search.study.space import Space
from search.study.unet_space import unet_space
from trainables.config import TrialConfig
from trainables.uris import without_keys

CHECKPOINTS = "checkpoints"
"""The folder, below the study's, of the trials' folders."""


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """Fixed for a study's whole life; budgets, resources and the sampler may change when it continues."""

    data: str
    """Path or URI of the data set, or "sample"."""
    fingerprint: str
    """Of the prepared data: content, cleaning and split."""
    seed: int
    """Of the split, the sampler, and every trial's weights, batches and augmentations."""
    profile: str
    space: str
    """default, wide, or systems: those of the two reports instead of a search."""
    overrides: dict[str, Any]
    """What every trial has instead of what its system says, in the flat form of `TrialConfig`."""
    systems: list[str]
    """Names of the systems that are run; empty for a search."""
    train_fraction: float
    """Part of the train part that is trained on."""
    max_epochs: int
    grace_epochs: int
    reduction_factor: int
    scheduler: str
    """A key of `SCHEDULERS`."""
    rung_metric: str
    """One of `RUNG_METRICS`: which score of a trial ASHA compares."""
    patience: int
    grad_clip: float
    ema_decay: float | None
    precision: str
    checkpoints: str
    """URI, or path relative to the study's folder, below which each trial has its folder of checkpoints."""

    @classmethod
    def recorded(cls, values: dict[str, Any], folder: Path) -> StudySettings:
        """Those that the ledger of the study in that folder holds; what an older version recorded besides is left out.

        Raises:
            ValueError: if there are none, or some that are needed now.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        if lacking := [name for name in names if name not in values]:
            raise ValueError(f"{folder}: the study was made by another version, its settings lack {', '.join(lacking)}")
        try:
            settings = from_json(cls, values)
            settings._check()
        except ValueError as error:
            raise ValueError(f"{folder}: its settings are none of a search: {error}") from error
        return dataclasses.replace(
            settings, data=without_keys(settings.data), checkpoints=without_keys(settings.checkpoints)
        )

    def _check(self) -> None:
        """Raises ValueError if a search cannot have settings like these."""
        if self.profile not in PROFILES:
            raise ValueError(f"profile {self.profile!r} is none of {', '.join(PROFILES)}")
        if self.rung_metric not in RUNG_METRICS:
            raise ValueError(f"rung_metric {self.rung_metric!r} is none of {', '.join(RUNG_METRICS)}")
        if min(self.seed, self.max_epochs - 1, self.grace_epochs - 1, self.reduction_factor - 2, self.patience - 1) < 0:
            raise ValueError("a number is below the least that its option takes")
        if not 0 < self.train_fraction <= 1:
            raise ValueError(f"train_fraction is {self.train_fraction}")
        if "://" not in self.checkpoints and self.checkpoints != CHECKPOINTS:
            raise ValueError(f"its checkpoints are in {self.checkpoints!r}, not in {CHECKPOINTS!r} or a store")

    def checkpoint_root(self, folder: Path) -> str:
        """Where the checkpoints of the study in that folder are: an absolute path or a URI."""
        return self.checkpoints if "://" in self.checkpoints else str(folder.resolve() / self.checkpoints)

    def search_space(self) -> Space:
        """What the study's trials are chosen from."""
        if self.space == "systems":
            return systems_space(self.overrides)
        return unet_space(PROFILES[self.profile], wide=self.space == "wide")

    def fixed_config(self) -> dict[str, Any]:
        """The part of every trial's configuration that the search does not choose."""
        fixed = {
            name: getattr(self, name)
            for name in ("max_epochs", "patience", "grad_clip", "ema_decay", "precision", "seed")
        }
        return {f"training.{name}": value for name, value in fixed.items() if value is not None}

    def whole_config(self, chosen: dict[str, Any]) -> dict[str, Any]:
        """A trial's configuration in the flat form of `TrialConfig`, from the part that the search chose."""
        return TrialConfig.from_flat(self.fixed_config() | chosen).to_flat()

    def check_same(self, recorded: dict[str, Any], name: str) -> None:
        """Refuse to continue a study under other settings.

        Raises:
            ValueError: naming each setting that differs.
        """
        if isinstance(checkpoints := recorded.get("checkpoints"), str):
            recorded = recorded | {"checkpoints": without_keys(checkpoints)}
        # The same data may have moved: its fingerprint decides.
        fields = [field.name for field in dataclasses.fields(self) if field.name != "data"]
        differing = [
            f"{field} was {recorded.get(field)!r}, is now {getattr(self, field)!r}"
            for field in fields
            if recorded.get(field) != getattr(self, field)
        ]
        if differing:
            raise ValueError(
                f"study {name!r} exists with other settings ({'; '.join(differing)}): "
                "repeat them to continue it, or give another --name"
            )
