"""Small texts beside checkpoints, in a folder or an object store: who a place belongs to, and who works there."""

from __future__ import annotations

import uuid
from contextlib import suppress
from typing import Any

from pyarrow import fs

NEW = ".new-"
"""In the name of a file that is not whole yet."""


class SmallFiles:
    """Texts by name. Each is replaced whole, and read as the place has it now.

    Args:
        place: a local path or any URI that `pyarrow.fs` opens.
    """

    def __init__(self, place: str):
        opened = fs.FileSystem.from_uri(place) if "://" in place else (fs.LocalFileSystem(), place)
        self._fs: Any = opened[0]
        self._folder: str = opened[1]

    def make_place(self) -> None:
        self._fs.create_dir(self._folder, recursive=True)

    def write(self, name: str, text: str) -> None:
        """Replace a text; the place must be there. Raises OSError where it takes nothing."""
        target = f"{self._folder}/{name}"
        # Object stores show an upload only when it is complete; elsewhere a rename makes it so.
        rename = isinstance(self._fs, fs.LocalFileSystem)
        written = f"{target}{NEW}{uuid.uuid4().hex}" if rename else target
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
        """None if there is none. Raises OSError where the place does not answer, and for what is no file."""
        if self._fs.get_file_info(f"{self._folder}/{name}").type == fs.FileType.Unknown:
            raise OSError(f"{self._folder}/{name} is no regular file")  # whoever opens a pipe waits for its other end
        try:
            with self._fs.open_input_file(f"{self._folder}/{name}") as stream:
                return bytes(stream.read()).decode(errors="replace")
        except FileNotFoundError:
            return None

    def delete(self, name: str) -> None:
        """Does nothing if there is none."""
        self._delete(f"{self._folder}/{name}")

    def changed(self) -> dict[str, int]:
        """When each file of the place was written last, in nanoseconds of the place's own clock."""
        found = self._fs.get_file_info(fs.FileSelector(self._folder, allow_not_found=True))
        return {
            entry.base_name: entry.mtime_ns or 0
            for entry in found
            if entry.type == fs.FileType.File and NEW not in entry.base_name
        }

    def _delete(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self._fs.delete_file(path)
