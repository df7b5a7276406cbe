"""The settings that define a study. The ledger records them; a study only continues under the same settings."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.json_records import from_json
from search.study.profiles import PROFILES, Profile
from search.study.rung_metric import RUNG_METRICS
from search.study.space import Space
from search.study.systems import systems_space
from search.study.unet_space import unet_space
from trainables.config import TrialConfig
from trainables.data import SPLITS, DataSource, PreparedData
from trainables.data.sizes.npy_files import one_size
from trainables.errors import listed
from trainables.prediction.metric import Metric
from trainables.uris import without_keys

CHECKPOINTS = "checkpoints"
"""Name of the folder, in the study's folder, that holds the checkpoint folders of the trials."""
PREPARING = {"seed", "keep_outliers", "drop_list", "images", "masks", "ignored_label", "split", "group_pattern"}
"""Settings, besides the data itself, that the fingerprint of the prepared data follows from."""


def content_changed(recorded: str, now: str) -> bool:
    """Return whether two fingerprints are of data sets with different content: their part before the first dash."""
    return recorded.partition("-")[0] != now.partition("-")[0]


def data_changed(recorded: str, now: str) -> str:
    """Describe what differs between the data of a study and the data of now, by their fingerprints."""
    if content_changed(recorded, now):
        return "the data's content changed"
    return "the data was prepared in another way, by another version of the software"


SHOWN = 5
"""Number of values of a list that a message shows."""


@dataclass(frozen=True, kw_only=True)
class StudySettings:
    """Settings that are fixed for a study; budgets, resources and the sampler may change when it continues."""

    data: str
    """Path or URI of the data set, or "sample"."""
    fingerprint: str
    """Fingerprint of the prepared data: content, cleaning and split."""
    images: str | None
    """Key, column, sub-folder or folder of the images, if the user named it."""
    masks: str | None
    """Key, column or sub-folder of the masks, if the user named it."""
    ignored_label: int | None
    """Value of unlabelled pixels in the masks, if the user gave it."""
    split: str | None = None
    """Kind of the split, if it is another than the default of the data."""
    group_pattern: str | None = None
    """Regular expression that finds the group of an image in its name, if the user gave it."""
    crop: list[int] | None = None
    """Height and width of the crops that trials train on; None: whole images."""
    keep_outliers: bool
    """Whether the rules about unusable images drop none."""
    drop_list: list[int | str]
    """The images that the user has dropped: ascending indices, and then sorted names."""
    seed: int
    """Seed of the split, the sampler, and every trial's weights, batches and augmentations."""
    profile: str
    space: str
    """One of default, wide and systems; systems runs those of the two reports instead of a search."""
    overrides: dict[str, Any]
    """Values that replace those of every system, in the flat form of `TrialConfig`."""
    systems: list[str]
    """Names of the systems to run; empty for a search."""
    train_fraction: float
    """Fraction of the train part to train on."""
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
    """URI, or path relative to the study's folder, of the folder that holds each trial's checkpoint folder."""
    # Settings with a default are not recorded where they have it: studies of versions without them continue.
    metric: str = "mean_iou"
    """What the search maximises, as `--metric` takes it."""
    score_classes: list[str] | None = None
    """Names of the classes that count in the metric; None: all scored ones, or the one that the metric names."""
    depths: list[int] | None = None
    """Depths of networks that suit the data; None: those of the profile."""
    batch_sizes: list[int] | None = None
    """Batch sizes that suit the data; None: those of the profile."""

    @classmethod
    def recorded(cls, values: dict[str, Any], folder: Path) -> StudySettings:
        """Read the settings from the ledger of the study in that folder. Unknown ones, of older versions, are ignored.

        Raises:
            ValueError: if a setting is missing or invalid.
        """
        if lacking := _lacking(values):
            raise ValueError(f"{folder}: the study was made by another version, its settings lack {', '.join(lacking)}")
        try:
            settings = from_json(cls, values)
            settings._check()
        except ValueError as error:
            raise ValueError(f"{folder}: its settings are not those of a search: {error}") from error
        return dataclasses.replace(
            settings, data=without_keys(settings.data), checkpoints=without_keys(settings.checkpoints)
        )

    def _check(self) -> None:
        """Raise ValueError if a search cannot have these settings."""
        if self.profile not in PROFILES:
            raise ValueError(f"profile {self.profile!r} is not one of {', '.join(PROFILES)}")
        if self.rung_metric not in RUNG_METRICS:
            raise ValueError(f"rung_metric {self.rung_metric!r} is not one of {', '.join(RUNG_METRICS)}")
        if min(self.seed, self.max_epochs - 1, self.grace_epochs - 1, self.reduction_factor - 2, self.patience - 1) < 0:
            raise ValueError("a number is below the minimum of its option")
        Metric.parse(self.metric, self.score_classes)
        for name in ("depths", "batch_sizes"):
            if (sizes := getattr(self, name)) is not None and (not sizes or min(sizes) < 1):
                raise ValueError(f"{name} is {sizes}")
        if self.split not in (None, *SPLITS):
            raise ValueError(f"split {self.split!r} is not one of {', '.join(SPLITS)}")
        if self.crop is not None and (len(self.crop) != 2 or min(self.crop) < 1):
            raise ValueError(f"crop is {self.crop}, must be a height and a width")
        if not 0 < self.train_fraction <= 1:
            raise ValueError(f"train_fraction is {self.train_fraction}")
        if "://" not in self.checkpoints and self.checkpoints != CHECKPOINTS:
            raise ValueError(f"its checkpoints are in {self.checkpoints!r}, not in {CHECKPOINTS!r} or an object store")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as the ledger records them."""
        values = dataclasses.asdict(self)
        return {name: value for name, value in values.items() if name not in LATER or value != LATER[name]}

    @property
    def chosen_metric(self) -> Metric:
        """The score of the study's trials."""
        return Metric.parse(self.metric, self.score_classes)

    def checkpoint_root(self, folder: Path) -> str:
        """Return where the checkpoints of the study in that folder are: an absolute path or a URI."""
        return self.checkpoints if "://" in self.checkpoints else str(folder.resolve() / self.checkpoints)

    @property
    def data_source(self) -> DataSource:
        """The study's data, as it was cleaned and split."""
        return DataSource(
            uri=self.data,
            seed=self.seed,
            keep_outliers=self.keep_outliers,
            drop_list=tuple(self.drop_list),
            images=self.images,
            masks=self.masks,
            ignored_label=self.ignored_label,
            split=self.split,
            group_pattern=self.group_pattern,
            crop=None if self.crop is None else (self.crop[0], self.crop[1]),
        )

    @property
    def sizes(self) -> Profile:
        """The profile, with the sizes that suit the data."""
        profile = PROFILES[self.profile]
        return dataclasses.replace(
            profile,
            depths=profile.depths if self.depths is None else tuple(self.depths),
            batch_sizes=profile.batch_sizes if self.batch_sizes is None else tuple(self.batch_sizes),
        )

    def search_space(self) -> Space:
        """Return the space from which the study's trials are chosen."""
        if self.space == "systems":
            return systems_space(self.overrides)
        return unet_space(self.sizes, wide=self.space == "wide")

    def fixed_config(self) -> dict[str, Any]:
        """Return the part of every trial's configuration that the search does not choose."""
        fixed = {
            name: getattr(self, name)
            for name in ("max_epochs", "patience", "grad_clip", "ema_decay", "precision", "seed")
        }
        return {f"training.{name}": value for name, value in fixed.items() if value is not None}

    def whole_config(self, chosen: dict[str, Any]) -> dict[str, Any]:
        """Complete the part of a configuration that the search chose, in the flat form of `TrialConfig`."""
        return TrialConfig.from_flat(self.fixed_config() | chosen).to_flat()

    def check_same(self, recorded: dict[str, Any], name: str) -> None:
        """Refuse to continue a study under other settings.

        Raises:
            ValueError: naming each setting that differs, or that another version did not record.
        """
        if lacking := _lacking(recorded):
            raise ValueError(
                f"study {name!r} was made by another version, its settings lack {', '.join(lacking)}: give another "
                "--name, or continue it with the version that made it"
            )
        if isinstance(checkpoints := recorded.get("checkpoints"), str):
            recorded = recorded | {"checkpoints": without_keys(checkpoints)}
        recorded = LATER | recorded
        # The data may have moved: its fingerprint is compared instead of its location.
        fields = [field.name for field in dataclasses.fields(self) if field.name != "data"]
        changed = [field for field in fields if recorded[field] != getattr(self, field)]
        differing = [
            f"{field} was {_shown(recorded[field])}, is now {_shown(getattr(self, field))}"
            for field in changed
            if field != "fingerprint"
        ]
        if "fingerprint" in changed:
            before, now = str(recorded["fingerprint"]), self.fingerprint
            # It also follows from settings that are named themselves, such as the seed.
            if content_changed(before, now) or not PREPARING.intersection(changed):
                differing.insert(0, data_changed(before, now))
        if differing:
            raise ValueError(
                f"study {name!r} exists with other settings ({listed(differing, separator='; ', most=len(fields))}): "
                "repeat them to continue it, or give another --name"
            )


def data_as_recorded(data: PreparedData, recorded: Mapping[str, Any]) -> PreparedData:
    """Return the data of a study with the size that its trainings see, by its recorded settings.

    Settings without a crop mean whole images. Studies of earlier versions have none, however large their images are,
    for which a new study would choose crops.
    """
    if recorded.get("crop") is not None or data.whole or not one_size(data.sizes):
        return data
    height, width = (int(length) for length in data.sizes[0])
    return dataclasses.replace(data, source=dataclasses.replace(data.source, crop=(height, width)))


LATER = {
    field.name: field.default for field in dataclasses.fields(StudySettings) if field.default is not dataclasses.MISSING
}
"""The settings that studies of earlier versions did not have, and the value that these studies have."""


def recorded_metric(values: Mapping[str, Any]) -> Metric:
    """Return the metric of a study by its recorded settings, whatever else they lack. Raises ValueError if invalid."""
    metric, classes = (values.get(name, LATER[name]) for name in ("metric", "score_classes"))
    if isinstance(metric, str) and (
        classes is None or (isinstance(classes, list) and all(isinstance(name, str) for name in classes))
    ):
        return Metric.parse(metric, classes)
    raise ValueError(f"its metric is damaged ({metric!r:.80}, {classes!r:.80})")


def _lacking(recorded: dict[str, Any]) -> list[str]:
    """Return the names of the settings that a study, made by another version, does not have."""
    names = {field.name for field in dataclasses.fields(StudySettings)} - LATER.keys() - recorded.keys()
    return [field.name for field in dataclasses.fields(StudySettings) if field.name in names]


def _shown(value: Any) -> str:
    if isinstance(value, list) and len(value) > SHOWN:
        return f"{str(value[:SHOWN])[:-1]}, ...] ({len(value)} values)"
    return repr(value)
