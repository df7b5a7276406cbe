"""A folder of files, on a disk or in an object store."""

from __future__ import annotations

import hashlib
import os
from functools import cached_property
from pathlib import Path
from typing import Any

from trainables.data.readers.foreign_content import refuse_other_than_data
from trainables.uris import quoted


class Place:
    """The files under a path or a URI that `pyarrow.fs` opens."""

    def __init__(self, uri: str):
        self.uri = uri.rstrip("/") if "://" in uri else str(Path(uri))

    @cached_property
    def opened(self) -> tuple[Any, str]:
        """The pyarrow file system, and the path of the folder in it."""
        from pyarrow import fs

        try:
            if "://" in self.uri:
                filesystem, root = fs.FileSystem.from_uri(quoted(self.uri))
                return filesystem, root.rstrip("/")
            return fs.LocalFileSystem(), str(Path(self.uri).resolve())
        except Exception as error:  # pyarrow raises errors of many kinds for URIs
            raise ValueError(f"{self.uri}: cannot be reached ({error})") from error

    @cached_property
    def files(self) -> dict[str, tuple[int, int]]:
        """Size in bytes and modification time in nanoseconds of every file, by its path in the folder, sorted.

        Hidden files and folders, whose names begin with a dot, and those of macOS archives are left out, and so are the
        copies of all files that are seen through a symbolic link to a folder above it.

        Raises:
            ValueError: if the folder cannot be listed, or a name in it is not UTF-8.
        """
        filesystem, root = self.opened
        try:
            paths = _remote_files(filesystem, root) if "://" in self.uri else _local_files(root)
        except OSError as error:
            raise ValueError(f"{self.uri}: cannot be listed ({error.strerror or error})") from error
        return {path: paths[path] for path in sorted(paths) if not any(map(_hidden, path.split("/")))}

    def version(self, paths: list[str]) -> str:
        """Return a hash of names, sizes and times of these files: it changes when one of them does."""
        listing = "\n".join(f"{path} {self.files[path]}" for path in paths)
        return hashlib.sha256(listing.encode("utf-8", "surrogateescape")).hexdigest()

    def read(self, path: str, most: int | None = None) -> bytes:
        """Return the content of a file in the folder, or at most that number of bytes of it.

        Raises:
            ValueError: if it cannot be read, or something else is in its place, see `refuse_other_than_data`.
        """
        filesystem, root = self.opened
        try:
            with filesystem.open_input_stream(f"{root}/{path}", compression=None) as stream:
                content: bytes = stream.read(most)
        except OSError as error:
            raise ValueError(f"{self.uri}/{path}: cannot be read ({error})") from error
        refuse_other_than_data(content, f"{self.uri}/{path}")
        return content

    def text(self, path: str) -> str:
        """Return the content of a text file in the folder; a byte-order mark is left out."""
        try:
            return self.read(path).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError(f"{self.uri}/{path}: is not text in UTF-8 ({error})") from None


def _hidden(name: str) -> bool:
    return name.startswith(".") or name == "__MACOSX"


def _remote_files(filesystem: Any, root: str) -> dict[str, tuple[int, int]]:
    from pyarrow import fs

    found = filesystem.get_file_info(fs.FileSelector(root, recursive=True))
    return {
        info.path[len(root) :].lstrip("/"): (info.size or 0, info.mtime_ns or 0)
        for info in found
        if info.type == fs.FileType.File
    }


def _local_files(root: str) -> dict[str, tuple[int, int]]:
    """List the files under a folder. PyArrow follows links in circles, and has no path for a name that is not UTF-8."""

    def refuse(error: OSError) -> None:
        raise error

    paths = {}
    for folder, folders, names in os.walk(root, onerror=refuse, followlinks=True):
        folders[:] = [name for name in folders if not _hidden(name) and not _leads_above(Path(folder, name))]
        for path in (Path(folder, name) for name in names if not _hidden(name)):
            if not path.is_file():  # also a link to nothing
                continue
            try:
                str(path).encode()
            except UnicodeEncodeError:
                shown = os.fsencode(path).decode(errors="backslashreplace")
                raise ValueError(f"'{shown}': its name is not UTF-8: rename it") from None
            status = path.stat()
            paths[path.relative_to(root).as_posix()] = (status.st_size, status.st_mtime_ns)
    return paths


def _leads_above(folder: Path) -> bool:
    """Return whether a folder is a symbolic link to one that contains it."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())
