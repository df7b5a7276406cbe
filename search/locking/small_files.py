"""Small text files beside checkpoints, in a folder or an object store: the owner of a place, and its current driver."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from pyarrow import fs

from trainables.atomic_write import clear_leftovers, is_temporary, temporary
from trainables.uris import quoted


class SmallFiles:
    """Text files by name. Each is replaced atomically, and read without a cache.

    Args:
        place: local path, or any URI that `pyarrow.fs` opens.
    """

    def __init__(self, place: str):
        opened = fs.FileSystem.from_uri(quoted(place)) if "://" in place else (fs.LocalFileSystem(), place)
        self._fs: Any = opened[0]
        self._folder: str = opened[1]

    def make_place(self) -> None:
        self._fs.create_dir(self._folder, recursive=True)

    def write(self, name: str, text: str) -> None:
        """Replace a file; the place must exist. Raises OSError if it cannot be written."""
        target = f"{self._folder}/{name}"
        # Object stores show an upload only when it is complete; elsewhere a rename does that.
        rename = isinstance(self._fs, fs.LocalFileSystem)
        written = target
        if rename:
            clear_leftovers(Path(self._folder), name)
            written = str(temporary(Path(target)))
        try:
            with self._fs.open_output_stream(written) as stream:
                stream.write(text.encode())
            if rename:
                self._fs.move(written, target)
        except BaseException:
            if rename:
                self._delete(written)
            raise

    def read(self, name: str) -> str | None:
        """Return a file's text; None if it does not exist.

        Raises:
            OSError: if it cannot be read, or is not a regular file.
        """
        if self._fs.get_file_info(f"{self._folder}/{name}").type == fs.FileType.Unknown:
            raise OSError(f"{self._folder}/{name} is not a regular file")  # opening a pipe blocks
        try:
            with self._fs.open_input_file(f"{self._folder}/{name}") as stream:
                return bytes(stream.read()).decode(errors="replace")
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Delete a file; do nothing if it does not exist."""
        self._delete(f"{self._folder}/{name}")

    def changed(self) -> dict[str, int]:
        """Return when each file of the place was last written, in nanoseconds of the place's own clock."""
        found = self._fs.get_file_info(fs.FileSelector(self._folder, allow_not_found=True))
        return {
            entry.base_name: entry.mtime_ns or 0
            for entry in found
            if entry.type == fs.FileType.File and not is_temporary(entry.base_name)
        }

    def _delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._fs.delete_file(path)
