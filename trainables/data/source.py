"""The source of a data set: a file, a URI or the built-in sample, and what the user chose about it."""

from __future__ import annotations

import dataclasses
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from trainables.uris import quoted

BUFFER = 2**23
"""Bytes that are fetched from a remote file at a time."""
SAMPLE = "sample"
"""URI of the built-in sample."""


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """The location of a data set, what is dropped from it, the seed of its split, and the size of its crops."""

    uri: str
    """A path, a URI that `pyarrow.fs` opens (`s3://`, `gs://`, `file://`), or "sample" for the built-in one."""
    seed: int = 0
    """Seed of the split."""
    keep_outliers: bool = False
    """Whether the rules about unusable images only warn, and drop nothing."""
    drop_list: tuple[int | str, ...] = ()
    """The images that the user has dropped: ascending indices in the order of the data, and then sorted names."""
    images: str | None = None
    """Key, column or sub-folder of the images, or for COCO annotations the folder of the images; None: the usual
    names."""
    masks: str | None = None
    """Key, column or sub-folder of the masks; None: the usual names."""
    ignored_label: int | None = None
    """Value of unlabelled pixels in the masks; None: as the source says."""
    split: str | None = None
    """"random", "grouped" or "given"; None: given if the source has a split of its own, else random."""
    group_pattern: str | None = None
    """Regular expression of which the first group, or else the whole, names the group of an image in its name."""
    crop: tuple[int, int] | None = None
    """(height, width) of the crops that a training sees; None: chosen from the sizes of the images."""

    @property
    def name(self) -> str:
        """The name of the file without its extension."""
        return PurePosixPath(self.uri.split("?")[0]).stem

    @property
    def choices(self) -> dict[str, Any]:
        """What the user chose about the data and its groups, but for its location: fields other than their defaults."""
        about = ("keep_outliers", "drop_list", "images", "masks", "ignored_label")
        chosen = {name: getattr(self, name) for name in about}
        if self.split == "grouped":
            chosen |= {"split": self.split, "group_pattern": self.group_pattern}
        return {name: value for name, value in chosen.items() if value not in (None, False, ())}

    @property
    def anywhere(self) -> DataSource:
        """The same source with absolute paths, valid in any working directory."""
        found = self
        if self.images is not None and "://" not in self.images and not (Path(self.uri) / self.images).exists():
            folder = Path(self.images)
            found = dataclasses.replace(found, images=str(folder.resolve()) if folder.is_dir() else self.images)
        absolute = self.uri == SAMPLE or "://" in self.uri
        return found if absolute else dataclasses.replace(found, uri=str(Path(self.uri).resolve()))


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """A file that exists."""

    uri: str
    version: str
    """Size and modification time: they change with the content."""

    def open(self) -> io.BufferedReader:
        """Open the file as a seekable binary stream.

        Raises:
            ValueError: if the file cannot be read.
        """
        try:
            if "://" not in self.uri:
                return Path(self.uri).open("rb")
            filesystem, path = _filesystem(self.uri)
            return io.BufferedReader(filesystem.open_input_file(path), BUFFER)  # what is read is fetched, a part a time
        except OSError as error:
            raise ValueError(f"{self.uri}: cannot be read ({error})") from error


def find(uri: str) -> SourceFile | None:
    """Find the file at a path or URI; None if a folder is there.

    Raises:
        ValueError: if there is neither, or its storage does not respond.
    """
    if "://" not in uri:
        path = Path(uri)
        try:
            if path.is_dir():
                return None
            if not path.is_file():
                raise ValueError(f"{uri}: no such file or folder")
            status = path.stat()
        except OSError as error:  # a folder without permission, a name that is too long
            raise ValueError(f"{uri}: cannot be reached ({error.strerror})") from error
        return SourceFile(uri=str(path.resolve()), version=f"{status.st_size} {status.st_mtime_ns}")
    from pyarrow import fs

    try:
        filesystem, path_there = _filesystem(uri)
        info = filesystem.get_file_info(path_there)
    except Exception as error:
        raise ValueError(f"{uri}: cannot be reached ({error})") from error
    if info.type == fs.FileType.Directory:
        return None
    if info.type != fs.FileType.File:
        raise ValueError(f"{uri}: no such file or folder")
    return SourceFile(uri=uri, version=f"{info.size} {info.mtime_ns}")


def _filesystem(uri: str) -> tuple[Any, str]:
    """Return the pyarrow file system of a URI, and the path in it."""
    from pyarrow import fs

    return fs.FileSystem.from_uri(quoted(uri))
