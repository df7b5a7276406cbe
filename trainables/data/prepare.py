"""Prepares a data set for training: decoded once per node, memory-mapped by every process on it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from trainables.atomic_write import atomic_write
from trainables.data.cleaning.clean import Cleaned, clean
from trainables.data.cleaning.unusable_pairs import Flagged
from trainables.data.content import Content
from trainables.data.description import DataDescription, with_tuples
from trainables.data.grouping.groups import Groups, groups_of, size_of_groups
from trainables.data.pixel_format import PixelFormat
from trainables.data.report import DataReport, warnings_of
from trainables.data.sizes.crop_size import CropSize, proposed_crop
from trainables.data.sizes.crops import crops_in
from trainables.data.sizes.images import Images, Size, by, range_of, sizes_of
from trainables.data.sizes.npy_files import one_size, read_images, write_array, write_images
from trainables.data.source import SAMPLE, DataSource
from trainables.data.split import GIVEN, GROUPED, RANDOM, given_split, grouped_split, split, stratified_part

FORMAT = "4"
"""Version of the prepared files and of the cleaning. Data of different versions has different fingerprints."""
DIGITS = 16
"""Hexadecimal digits of hashes in names."""
DOUBTFUL = "doubtful.txt"
"""Name of the file, in a prepared folder, that is a drop list that also names the images kept with a warning."""
CACHE_VARIABLE = "MARS_SEARCH_CACHE"
"""Environment variable that sets the cache folder."""


@dataclasses.dataclass(frozen=True)
class PreparedData:
    """A cleaned and split data set. Pickled as a path, so that all processes on a node map the same files.

    Images may have different sizes; a training sees crops of one size. Pixels of one channel have no channel axis,
    others have it last. `pixels` turns them into the input of a network.
    """

    folder: Path
    source: DataSource

    @cached_property
    def _meta(self) -> dict[str, Any]:
        return json.loads((self.folder / "meta.json").read_text(encoding="utf-8"))

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def fingerprint(self) -> str:
        """Identifies the content of the data, its cleaning and its split."""
        parts = [self.folder.name, str(self.source.seed)]
        if self.split_kind == GROUPED:
            parts.append(_hash(str(self._groups.tolist())))  # they may have been found, by code that may change
        elif self.split_kind != self.default_split:
            parts.append(self.split_kind)
        return "-".join(parts)

    @property
    def chosen_split(self) -> str | None:
        """The kind of the split if it is another than without the user's choice."""
        return None if self.split_kind == self.default_split else self.split_kind

    @property
    def _has_own_split(self) -> bool:
        return bool(self._meta["parts"])

    @property
    def split_kind(self) -> str:
        """One of `SPLITS`: the one that the user chose, or else given where the source has a split of its own."""
        return self.source.split or self.default_split

    @property
    def default_split(self) -> str:
        """The kind of the split unless the user chooses one."""
        return GIVEN if self._has_own_split else RANDOM

    @cached_property
    def description(self) -> DataDescription:
        described = self._meta["description"]
        return DataDescription(**with_tuples(described))

    @cached_property
    def pixels(self) -> PixelFormat:
        """How pixels are stored, and how they become the input of a network."""
        return PixelFormat(**with_tuples(self._meta["pixels"]))

    @cached_property
    def names(self) -> tuple[str, ...] | None:
        """Name of each labelled image; None: they are only numbered."""
        return None if self._meta["names"] is None else tuple(self._meta["names"])

    @cached_property
    def images(self) -> Images:
        """N images (H, W) or (H, W, C), uint8 or float32, read-only: one array if all have one size."""
        return self._map("images", "sizes")

    @cached_property
    def unlabelled_names(self) -> tuple[str, ...] | None:
        """Name of each image to predict; None: they are only numbered."""
        return None if self._meta["unlabelled_names"] is None else tuple(self._meta["unlabelled_names"])

    @cached_property
    def masks(self) -> Images:
        """N masks (H, W) uint8, read-only: one array if all have one size."""
        return self._map("masks", "sizes")

    @cached_property
    def unlabelled(self) -> Images | None:
        """M images in the dtype and with the channels of the others, read-only; None if there is no test set."""
        exists = (self.folder / "unlabelled.npy").exists()
        return self._map("unlabelled", "unlabelled_sizes") if exists else None

    @cached_property
    def sizes(self) -> np.ndarray:
        """Height and width of each labelled image: (N, 2) int64."""
        return sizes_of(self.masks)

    @property
    def crop(self) -> Size:
        """(height, width) of the crops that a training sees."""
        return self.chosen_crop.size

    @cached_property
    def whole(self) -> bool:
        """Whether every labelled image has the size of a crop, so that none is cropped."""
        return self.chosen_crop.whole

    def crops(self, indices: np.ndarray) -> np.ndarray:
        """Return how many crops of each of the given images (K,) an epoch trains on: (K,) int64, at least 1."""
        return crops_in(self.sizes[indices], self.crop)

    @cached_property
    def chosen_crop(self) -> CropSize:
        """The size of crops that the user gave, else the one that suits the images."""
        if self.source.crop is None:
            return proposed_crop(self.sizes)
        whole = bool((self.sizes == self.source.crop).all())
        return CropSize(size=self.source.crop, whole=whole, why="the size that was chosen for the study")

    @cached_property
    def split(self) -> dict[str, np.ndarray]:
        """Sorted indices (int64) of the images by part: "train", "val" and "test"."""
        counts = self._counts[:, list(self.description.scored_labels)]
        if self.split_kind == GROUPED:
            return grouped_split(counts, self._groups, self.source.seed)
        if self.split_kind == RANDOM:
            return split(counts, self.source.seed)
        if not self._has_own_split:
            raise ValueError(
                "--split given: the data has no split of its own (see docs/splits.md for how it can have one); give "
                "--split random or --split grouped"
            )
        parts = self._meta["parts"]
        return given_split(counts, [parts.get(name) for name in self.names or ()], self.source.seed)

    @cached_property
    def _groups(self) -> np.ndarray:
        """Number of each image's group, for a grouped split: (N,) int64."""
        return np.array(self._meta["groups"]["numbers"], np.int64)

    @cached_property
    def present_labels(self) -> tuple[int, ...]:
        """The scored labels that occur in the masks, in ascending order."""
        return self.labels_in(np.arange(len(self._counts)))

    def labels_in(self, indices: np.ndarray) -> tuple[int, ...]:
        """Return the scored labels that the masks of the given images (K,) hold, in ascending order.

        The mean IoU of a model on these images is over these classes, whatever the model predicts.
        """
        total = self.pixel_counts(indices)
        return tuple(label for label in self.description.scored_labels if total[label])

    def check_scored(self) -> None:
        """Raise a ValueError if the data cannot rank models.

        With fewer than two scored classes every model would score 1.0, and without a labelled pixel in the train or
        validation part none could be trained or scored.
        """
        if len(self.present_labels) < 2:
            (name,) = (self.description.class_names[label] for label in self.present_labels)
            ignored = self.description.ignored_label
            others, what_to_do = "", "label a second class"
            if ignored is not None:
                others = f" ({self.description.class_names[ignored]} is ignored)"
                what_to_do = "score a second class, for example by leaving out ignored_label"
            raise ValueError(
                f"{self.source.uri}: the masks hold a single scored class, {name}{others}, so that every model would "
                f"score 1.0: {what_to_do}"
            )
        for part, name in (("train", "train"), ("val", "validation")):
            if not self.labels_in(self.split[part]):
                raise ValueError(
                    f"{self.source.uri}: no mask of the {name} part holds a labelled pixel: label at least three images"
                )

    def pixel_counts(self, indices: np.ndarray) -> np.ndarray:
        """Return the number of pixels of each class in the masks of the given images: (num_classes,) int64."""
        return self._counts[indices].sum(axis=0)

    @property
    def rarest_label(self) -> int:
        """The scored label with the fewest pixels, among those that occur in the masks."""
        total = self._counts.sum(axis=0)
        return min(self.present_labels, key=lambda label: total[label])

    def train_part(self, fraction: float = 1.0) -> np.ndarray:
        """Return sorted indices (int64) of a fraction, in (0, 1], of the train part, stratified by the rarest class.

        They hold every scored class that the train part holds.
        """
        train = self.split["train"]
        holds = np.stack([self.holds(train, label) for label in self.present_labels], axis=1)
        return stratified_part(train, holds, self.holds(train, self.rarest_label), fraction, self.source.seed)

    def class_pixels(self, indices: np.ndarray) -> np.ndarray:
        """Return the pixels of each class in each of the given images (K,): (K, num_classes) int64."""
        return self._counts[indices]

    def holds(self, indices: np.ndarray, label: int) -> np.ndarray:
        """Return whether the masks of the given images (K,) have pixels of a label: (K,) bool."""
        return self._counts[indices, label] > 0

    @cached_property
    def dropped(self) -> tuple[Flagged, ...]:
        """The training pairs of the file that were dropped."""
        return tuple(_flagged(*stored) for stored in self._meta["dropped"])

    @cached_property
    def doubtful(self) -> tuple[Flagged, ...]:
        """Training pairs that a rule finds unusable, but that are kept."""
        return tuple(_flagged(*stored) for stored in self._meta["doubtful"])

    @cached_property
    def report(self) -> DataReport:
        """A summary of the data set for its user."""
        shares = self._counts.sum(axis=0) / self._counts.sum()
        return DataReport(
            name=self.name,
            uri=self.source.uri,
            synthetic=self.source.uri == SAMPLE,
            labelled=len(self.images),
            unlabelled=0 if self.unlabelled is None else len(self.unlabelled),
            sizes=range_of(self.sizes),
            crops=None if self.whole else f"{by(self.crop)} ({self.chosen_crop.why})",
            channels=self.pixels.channels,
            split=self.split_kind,
            announcements=(*self._meta["announcements"], *self._about_split),
            dropped=self.dropped,
            doubtful=self.doubtful,
            doubtful_list=str(self.folder / DOUBTFUL) if self.doubtful else None,
            keep_outliers=self.source.keep_outliers,
            named=self._meta["named"],
            class_shares=dict(zip(self.description.class_names, map(float, shares), strict=True)),
            parts={part: len(indices) for part, indices in self.split.items()},
            warnings=tuple(
                warnings_of(
                    self.description,
                    self._counts,
                    self.split,
                    groups=self._groups if self.split_kind == GROUPED else None,
                )
            ),
        )

    @property
    def _about_split(self) -> list[str]:
        """Sentences about a split that is not the data's default."""
        said = []
        if self.split_kind == GROUPED:
            count, largest = size_of_groups(self._groups)
            sizes = f"the largest of {largest} images" if largest > 1 else "each of one image, so the split is random"
            said.append(f"split by groups ({self._meta['groups']['origin']}): {count} groups, {sizes}")
        if self.split_kind != GIVEN and self._has_own_split:
            said.append(f"the data's own split is ignored (--split {self.split_kind})")
        return said

    @cached_property
    def _counts(self) -> np.ndarray:
        """Pixels of each class in each image: (N, num_classes) int64."""
        return np.load(self.folder / "counts.npy", allow_pickle=False)

    def _map(self, name: str, sizes: str) -> Images:
        path = self.folder / f"{sizes}.npy"
        several = np.load(path, allow_pickle=False) if path.exists() else None
        return read_images(self.folder / f"{name}.npy", several)

    def __reduce__(self) -> tuple[Any, ...]:
        return PreparedData, (self.folder, self.source)


def prepare(source: DataSource, *, cache: Path | None = None) -> PreparedData:
    """Return the data of a source. The first call on a node decodes, checks and cleans it, later ones map its files.

    Args:
        source: the data set, and the seed of its split.
        cache: folder for prepared data; default: MARS_SEARCH_CACHE, else ~/.cache/mars-search.

    Raises:
        NoSuchImageError: if the drop list names an image that the data does not have.
        ValueError: if the source is not a usable data set, or the cache cannot be written.
    """
    cache = cache or cache_folder()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        data = PreparedData(_prepared_folder(source, cache), source)
    except OSError as error:
        raise ValueError(
            f"{cache}: prepared data cannot be kept there ({error.strerror or error}); "
            f"set {CACHE_VARIABLE} to another folder"
        ) from error
    _check_usable(data)
    return data


def cache_folder() -> Path:
    """Return the folder for prepared data. Raises RuntimeError if no variable sets it, and there is no home folder."""
    return Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "mars-search")


def _check_usable(data: PreparedData) -> None:
    """Raise a ValueError if the remaining data cannot be split, or has no labelled pixel."""
    after = "".join(f"; {len(found.indices)} were dropped: they {found.reason}" for found in data.dropped)
    try:
        _ = data.split
    except ValueError as error:
        raise ValueError(f"{data.source.uri}: {error}{after}") from None
    if not data.present_labels:
        raise ValueError(f"{data.source.uri}: no mask that was kept holds a labelled pixel{after}")


def _prepared_folder(source: DataSource, cache: Path) -> Path:
    """Return the folder with the prepared data of a source, creating it if needed."""
    choices = ""
    if chosen := source.choices:
        choices = f"-{_hash(json.dumps(chosen))}"
    if source.uri == SAMPLE:
        from trainables.data.sample import sample  # OpenCV draws it

        return _build(cache, f"{SAMPLE}-{FORMAT}{choices}", lambda _: clean(sample(), source), source)
    content = Content(source)
    # The folder is named by content and choices. This small file stores the first by URI and version.
    known = cache / f"{_hash(f'{content.version} {source.images} {source.masks} {FORMAT} groups')}.known"
    if known.exists() and _is_whole(folder := cache / (known.read_text(encoding="utf-8") + choices)):
        return folder
    identity = f"{content.identity[:DIGITS]}-{FORMAT}"
    folder = _build(cache, f"{identity}{choices}", lambda scratch: clean(content.read(scratch), source), source)
    with atomic_write(known) as new:
        new.write_text(identity, encoding="utf-8")
    return folder


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:DIGITS]


def _build(cache: Path, key: str, read: Callable[[Path], Cleaned], source: DataSource) -> Path:
    """Return the prepared folder of a key. The first process that needs it creates it, the others wait.

    `read` is given a folder for files that it needs until the data set is written.
    """
    folder = cache / key
    if _is_whole(folder):  # checked without the lock, so that a read-only cache works
        return folder
    with FileLock(cache / f"{key}.lock"):
        if not _is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
            for left_behind in cache.glob(f"{key}.*/"):  # from a process that was killed while it held the lock
                shutil.rmtree(left_behind, ignore_errors=True)
            with atomic_write(folder) as new:
                new.mkdir()
                (scratch := new / "scratch").mkdir()
                cleaned = read(scratch)
                _write(new, cleaned, groups_of(cleaned.raw, source) if source.split == GROUPED else None)
                shutil.rmtree(scratch)
    return folder


def _is_whole(folder: Path) -> bool:
    """Return whether a prepared folder is complete: every file has the size that it was written with."""
    try:
        sizes = json.loads((folder / "meta.json").read_text(encoding="utf-8"))["sizes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def _write(folder: Path, cleaned: Cleaned, groups: Groups | None) -> None:
    """Write a data set, and its groups if the split is grouped, to an empty folder."""
    raw = cleaned.raw
    sizes = {}

    def save(name: str, write: Callable[[Path], None]) -> None:
        write(path := folder / f"{name}.npy")
        sizes[path.name] = path.stat().st_size

    classes = raw.description.num_classes
    counted = [np.bincount(mask.ravel(), minlength=classes) for mask in raw.masks]
    save("counts", lambda path: write_array(path, np.array(counted, np.int64).reshape(-1, classes)))
    labelled = {"images": raw.images, "masks": raw.masks}
    to_predict = {} if raw.unlabelled is None else {"unlabelled": raw.unlabelled}
    for group, sizes_name in ((labelled, "sizes"), (to_predict, "unlabelled_sizes")):
        for name, images in group.items():
            save(name, partial(write_images, images=images))
            if not one_size(several := sizes_of(images)) and f"{sizes_name}.npy" not in sizes:
                save(sizes_name, partial(write_array, array=several))
    if cleaned.doubtful:
        (path := folder / DOUBTFUL).write_text(cleaned.longer_list, encoding="utf-8")
        sizes[path.name] = path.stat().st_size
    meta = {
        "description": dataclasses.asdict(raw.description),
        "named": raw.named,
        "pixels": dataclasses.asdict(raw.pixels),
        "names": raw.names,
        "unlabelled_names": raw.unlabelled_names,
        "parts": raw.parts,
        "groups": None if groups is None else dataclasses.asdict(groups),
        "announcements": raw.announcements,
        "dropped": [_stored(pairs, cleaned.names) for pairs in cleaned.dropped],
        "doubtful": [_stored(pairs, cleaned.names) for pairs in cleaned.doubtful],
        "sizes": sizes,
    }
    (folder / "meta.json").write_text(json.dumps(meta), encoding="utf-8")


def _stored(pairs: Flagged, names: Sequence[str] | None) -> tuple[Any, ...]:
    """Return what `_flagged` makes the same pairs of, with the names that the file gives them."""
    named = () if names is None else ([names[index] for index in pairs.indices],)
    return pairs.reason, pairs.indices, *named


def _flagged(reason: str, indices: list[int], names: Sequence[str] = ()) -> Flagged:
    return Flagged(reason=reason, indices=tuple(indices), names=tuple(names))
