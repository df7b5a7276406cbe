"""Where a data set comes from."""

from __future__ import annotations

import dataclasses
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

SAMPLE = "sample"


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """A data set and how it is split."""

    uri: str
    """A path, a URI that `pyarrow.fs` opens (`s3://`, `gs://`, `file://`), or "sample" for the built-in one."""
    seed: int = 0
    """Of the split."""

    @property
    def name(self) -> str:
        """The file's name without its ending."""
        return PurePosixPath(self.uri.split("?")[0]).stem

    @property
    def anywhere(self) -> DataSource:
        """The same place seen from any working directory."""
        absolute = self.uri == SAMPLE or "://" in self.uri
        return self if absolute else dataclasses.replace(self, uri=str(Path(self.uri).resolve()))


@dataclass(frozen=True, kw_only=True)
class SourceFile:
    """An npz file that was found."""

    uri: str
    version: str
    """Size and time of change: another one means other content."""

    def open(self) -> BinaryIO:
        """The content, seekable.

        Raises:
            ValueError: if it cannot be read.
        """
        try:
            if "://" not in self.uri:
                return Path(self.uri).open("rb")
            filesystem, path = _filesystem(self.uri)
            with filesystem.open_input_stream(path) as stream:
                return io.BytesIO(stream.read())
        except OSError as error:
            raise ValueError(f"{self.uri}: cannot be read ({error})") from error


def find(uri: str) -> SourceFile:
    """The file behind a path or URI.

    Raises:
        ValueError: if there is no such file, or its store does not answer.
    """
    if "://" not in uri:
        path = Path(uri)
        try:
            if not path.is_file():
                what = "is a folder, not an npz file" if path.is_dir() else "no such file"
                raise ValueError(f"{uri}: {what}")
            status = path.stat()
        except OSError as error:  # a folder that may not be entered, a name that is too long
            raise ValueError(f"{uri}: cannot be reached ({error.strerror})") from error
        return SourceFile(uri=str(path.resolve()), version=f"{status.st_size} {status.st_mtime_ns}")
    from pyarrow import fs

    try:
        filesystem, path_there = _filesystem(uri)
        info = filesystem.get_file_info(path_there)
    except Exception as error:
        raise ValueError(f"{uri}: cannot be reached ({error})") from error
    if info.type != fs.FileType.File:
        raise ValueError(f"{uri}: no such file")
    return SourceFile(uri=uri, version=f"{info.size} {info.mtime_ns}")


def _filesystem(uri: str) -> tuple[Any, str]:
    from pyarrow import fs

    return fs.FileSystem.from_uri(uri)
