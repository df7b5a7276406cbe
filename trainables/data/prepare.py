"""From a source to arrays ready for training, decoded once a node and memory-mapped by every process on it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from trainables.data.audit import Dropped, audit
from trainables.data.description import DataDescription
from trainables.data.npz import RawData, read_npz
from trainables.data.report import DataReport, warnings_of
from trainables.data.sample import sample
from trainables.data.source import SAMPLE, DataSource, find
from trainables.data.split import split, stratified_part

FORMAT = "1"
"""Of the prepared files and of what the cleaning does: another one means other data."""
CACHE_VARIABLE = "MARS_SEARCH_CACHE"


@dataclasses.dataclass(frozen=True)
class PreparedData:
    """A cleaned, split data set. Pickles as a path: every process on a node maps the same files.

    Pixels have no channel axis and keep the type in which they are stored; the batches add the axis and scale them.
    """

    folder: Path
    source: DataSource

    @cached_property
    def _meta(self) -> dict[str, Any]:
        return json.loads((self.folder / "meta.json").read_text())

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def fingerprint(self) -> str:
        """Of content, cleaning and split."""
        return f"{self.folder.name}-{self.source.seed}"

    @cached_property
    def description(self) -> DataDescription:
        described = self._meta["description"]
        return DataDescription(class_names=tuple(described["class_names"]), ignored_label=described["ignored_label"])

    @cached_property
    def images(self) -> np.ndarray:
        """(N, H, W) uint8 or float32, read-only."""
        return self._map("images")

    @cached_property
    def masks(self) -> np.ndarray:
        """(N, H, W) uint8, read-only."""
        return self._map("masks")

    @cached_property
    def unlabelled(self) -> np.ndarray | None:
        """(M, H, W) in the images' type, read-only; None if the data set has no test set."""
        return self._map("unlabelled") if (self.folder / "unlabelled.npy").exists() else None

    @property
    def scale(self) -> float:
        """Stored pixels times this are in [0, 1]."""
        return 1 / 255 if self.images.dtype == np.uint8 else 1.0

    @cached_property
    def split(self) -> dict[str, np.ndarray]:
        """Indices (int64) of the images in "train", "val" and "test"."""
        return split(self._counts[:, list(self.description.scored_labels)], self.source.seed)

    @cached_property
    def present_labels(self) -> tuple[int, ...]:
        """The scored labels that some mask holds, in order."""
        total = self._counts.sum(axis=0)
        return tuple(label for label in self.description.scored_labels if total[label])

    def pixel_counts(self, indices: np.ndarray) -> np.ndarray:
        """(num_classes,) int64 pixels of each class in the masks of these images."""
        return self._counts[indices].sum(axis=0)

    @property
    def rarest_label(self) -> int:
        """The scored label with the fewest pixels of those that some mask holds."""
        total = self._counts.sum(axis=0)
        return min(self.present_labels, key=lambda label: total[label])

    def train_part(self, fraction: float = 1.0) -> np.ndarray:
        """Indices (int64) of that fraction of the train part, stratified by the rarest class."""
        train = self.split["train"]
        return stratified_part(train, self.holds(train, self.rarest_label), fraction, self.source.seed)

    def holds(self, indices: np.ndarray, label: int) -> np.ndarray:
        """(K,) bool: whether these images' masks have a pixel of that label."""
        return self._counts[indices, label] > 0

    @cached_property
    def dropped(self) -> tuple[Dropped, ...]:
        """What the audit left out of the file's training pairs."""
        return tuple(Dropped(reason=reason, indices=tuple(found)) for reason, found in self._meta["dropped"])

    @cached_property
    def report(self) -> DataReport:
        shares = self._counts.sum(axis=0) / self._counts.sum()
        return DataReport(
            name=self.name,
            uri=self.source.uri,
            synthetic=self.source.uri == SAMPLE,
            labelled=len(self.images),
            unlabelled=0 if self.unlabelled is None else len(self.unlabelled),
            size=self.images.shape[1:],
            dropped=self.dropped,
            class_shares=dict(zip(self.description.class_names, map(float, shares), strict=True)),
            parts={part: len(indices) for part, indices in self.split.items()},
            warnings=tuple(warnings_of(self.description, self._counts, self.split)),
        )

    @cached_property
    def _counts(self) -> np.ndarray:
        """(N, num_classes) int64 pixels of each class in each image."""
        return np.load(self.folder / "counts.npy", allow_pickle=False)

    def _map(self, name: str) -> np.ndarray:
        return np.load(self.folder / f"{name}.npy", mmap_mode="r", allow_pickle=False)

    def __reduce__(self) -> tuple[Any, ...]:
        return PreparedData, (self.folder, self.source)


def prepare(source: DataSource, *, cache: Path | None = None) -> PreparedData:
    """The data set of a source. The first call on a node decodes, checks and cleans it; later ones map its files.

    Args:
        source: what, and how to split it.
        cache: where prepared data is kept; default: MARS_SEARCH_CACHE, else ~/.cache/mars-search.

    Raises:
        ValueError: if the source is no usable data set, or the cache cannot be written.
    """
    cache = cache or Path(os.environ.get(CACHE_VARIABLE) or Path.home() / ".cache" / "mars-search")
    try:
        cache.mkdir(parents=True, exist_ok=True)
        data = PreparedData(_prepared_folder(source, cache), source)
    except OSError as error:
        raise ValueError(
            f"{cache}: prepared data cannot be kept there ({error.strerror or error}); "
            f"name another folder in {CACHE_VARIABLE}"
        ) from error
    _check_usable(data)
    return data


def _check_usable(data: PreparedData) -> None:
    """Raise a ValueError if what the audit left cannot be split or holds nothing to learn."""
    after = "".join(f"; {len(found.indices)} were dropped: they {found.reason}" for found in data.dropped)
    try:
        _ = data.split
    except ValueError as error:
        raise ValueError(f"{data.source.uri}: {error}{after}") from None
    if not data.present_labels:
        raise ValueError(f"{data.source.uri}: no mask that was kept holds a labelled pixel{after}")


def _prepared_folder(source: DataSource, cache: Path) -> Path:
    if source.uri == SAMPLE:
        key = f"{SAMPLE}-{FORMAT}"
        return _build(cache, key, sample)
    file = find(source.uri)
    # The content's hash names the folder; this small file remembers it for the file, and the format, as they are now.
    known = cache / f"{_hash(f'{file.uri} {file.version} {FORMAT}'.encode())}.known"
    if known.exists() and _is_whole(cache / (key := known.read_text())):
        return cache / key
    with file.open() as stream:
        try:
            key = f"{_hash(stream)}-{FORMAT}"
        except OSError as error:
            raise ValueError(f"{source.uri}: cannot be read ({error})") from error
        folder = _build(cache, key, lambda: read_npz(stream, source.uri))
    _write_whole(known, lambda path: path.write_text(key))
    return folder


def _hash(content: Any) -> str:
    if isinstance(content, bytes):
        return hashlib.sha256(content).hexdigest()[:16]
    return hashlib.file_digest(content, "sha256").hexdigest()[:16]


def _build(cache: Path, key: str, read: Callable[[], RawData]) -> Path:
    """The prepared folder of that key; made by the first process that asks, the others wait for it."""
    folder = cache / key
    if _is_whole(folder):  # needs no lock, so a cache that is only readable will do
        return folder
    with FileLock(cache / f"{key}.lock"):
        if not _is_whole(folder):
            shutil.rmtree(folder, ignore_errors=True)
            for left_behind in cache.glob(f"{key}.*/"):  # by a process that was killed while it held the lock
                shutil.rmtree(left_behind, ignore_errors=True)
            _write_whole(folder, lambda path: _write(path, read()))
    return folder


def _is_whole(folder: Path) -> bool:
    """Whether every file of a prepared folder is as long as it was written."""
    try:
        sizes = json.loads((folder / "meta.json").read_text())["sizes"]
        return all((folder / name).stat().st_size == size for name, size in sizes.items())
    except (OSError, ValueError, KeyError):
        return False


def _write(folder: Path, raw: RawData) -> None:
    folder.mkdir()
    dropped = audit(raw.images, raw.masks, raw.description)
    kept = np.setdiff1d(np.arange(len(raw.images)), [index for found in dropped for index in found.indices])
    arrays = {"images": raw.images[kept], "masks": raw.masks[kept], "unlabelled": raw.unlabelled}
    classes = range(raw.description.num_classes)
    arrays["counts"] = np.stack(
        [(arrays["masks"] == label).sum(axis=(1, 2), dtype=np.int64) for label in classes], axis=1
    )
    sizes = {}
    for name, array in arrays.items():
        if array is not None:
            np.save(path := folder / f"{name}.npy", array)
            sizes[path.name] = path.stat().st_size
    meta = {
        "description": dataclasses.asdict(raw.description),
        "dropped": [(found.reason, found.indices) for found in dropped],
        "sizes": sizes,
    }
    (folder / "meta.json").write_text(json.dumps(meta))


def _write_whole(target: Path, write: Callable[[Path], Any]) -> None:
    """A file or folder that appears complete or not at all."""
    temporary = target.with_name(f"{target.name}.{uuid.uuid4().hex}")
    try:
        write(temporary)
        temporary.replace(target)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.unlink(missing_ok=True)
        raise
