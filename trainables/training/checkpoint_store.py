"""A trial's checkpoints: `last.pt` to resume from and `best.pt` to predict with, in a folder or an object store."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from pyarrow import fs

from trainables.atomic_write import clear_leftovers, temporary
from trainables.errors import StorageError
from trainables.outage_retries import Result, retry
from trainables.uris import quoted

PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)
"""Seconds to wait before each retry of a storage operation."""
OURS = re.compile(r"(?:last|best)\.pt(?:\.[0-9a-f]+)?")
"""Names of the checkpoint files of a trial, and of their temporary files while they are written."""


class DamagedCheckpoint(ValueError):
    """A file that exists but is not a valid checkpoint: truncated, or not written by this project."""


def join_uri(root: str, *parts: str) -> str:
    """Append parts to a path or URI. A URI keeps its options (`s3://bucket/study?endpoint_override=...`)."""
    address, mark, options = root.partition("?") if "://" in root else (root, "", "")
    return "/".join([address.rstrip("/"), *parts]) + mark + options


class CheckpointStore:
    """Named checkpoints in one folder, at a path or URI. Each is written atomically.

    If the folder or its parent is a symbolic link, it is not followed: the folder of a study may belong to another
    user, who could direct the link to files of the user who runs the study.

    Args:
        location: a local path or any URI that `pyarrow.fs` opens. The first save creates the folder.
        pauses: seconds to wait before each retry if the storage fails.
    """

    def __init__(self, location: str, pauses: Sequence[float] = PAUSES):
        self.location, self.pauses = location, pauses
        opened = fs.FileSystem.from_uri(quoted(location)) if "://" in location else (fs.LocalFileSystem(), location)
        self._fs: Any = opened[0]
        self._folder: str = opened[1]

    def save(self, name: str, content: dict[str, Any]) -> None:
        """Write `<name>.pt`, atomically replacing an older one.

        Raises:
            StorageError: if the storage fails on every retry, permission is denied, or the folder is a symbolic link.
        """
        buffer = io.BytesIO()
        torch.save(content, buffer)
        self._insist(lambda: self._write(name, buffer))

    def load(self, name: str, device: torch.device | str = "cpu") -> dict[str, Any] | None:
        """Return the content of `<name>.pt`, or None if it does not exist. Only tensors and plain values are unpickled.

        Raises:
            StorageError: if the storage fails on every retry, permission is denied, or the folder is a symbolic link.
            DamagedCheckpoint: if the file is not a valid checkpoint.
        """
        content = self._insist(lambda: self._read(name))
        if content is None:
            return None
        try:
            return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        except Exception as error:
            raise DamagedCheckpoint(f"{self.location}/{name}.pt: not a readable checkpoint ({error})") from error

    def keep(self, *names: str) -> None:
        """Delete all checkpoints of a trial but these, and temporary files of killed processes; no other files."""
        if self._is_linked():
            return
        kept = {f"{name}.pt" for name in names}
        for file in self._fs.get_file_info(fs.FileSelector(self._folder, allow_not_found=True)):
            if file.type == fs.FileType.File and OURS.fullmatch(file.base_name) and file.base_name not in kept:
                self._fs.delete_file(file.path)

    def delete(self) -> None:
        """Delete the folder and everything in it."""
        if self._exists(self._folder) and not self._is_linked():
            self._fs.delete_dir(self._folder)

    def folders(self) -> list[str]:
        """Return the names of the subfolders that are not symbolic links."""
        if self._is_linked():
            return []
        found = self._fs.get_file_info(fs.FileSelector(self._folder, allow_not_found=True))
        folders = [entry.base_name for entry in found if entry.type == fs.FileType.Directory]
        return [name for name in folders if not (self._is_local and Path(self._folder, name).is_symlink())]

    @property
    def _is_local(self) -> bool:
        return isinstance(self._fs, fs.LocalFileSystem)

    def _is_linked(self) -> bool:
        folder = Path(self._folder)
        return self._is_local and (folder.is_symlink() or folder.parent.is_symlink())

    def _insist(self, action: Callable[[], Result]) -> Result:
        """Run a storage operation, with retries.

        Raises:
            StorageError: if it fails on every retry, permission is denied, or the folder is a symbolic link.
        """
        if self._is_linked():
            raise StorageError(f"{self.location}: a symbolic link in place of a folder is not followed")
        try:
            return retry(action, pauses=self.pauses, passes=_passes)
        except OSError as error:
            raise StorageError(f"{self.location}: {error}") from error

    def _write(self, name: str, content: io.BytesIO) -> None:
        self._fs.create_dir(self._folder, recursive=True)
        target = f"{self._folder}/{name}.pt"
        # Object stores show an upload only when it is complete. Elsewhere, a rename makes the write atomic.
        atomic_upload = not self._is_local
        written = target
        if not atomic_upload:
            clear_leftovers(Path(self._folder), f"{name}.pt")
            written = str(temporary(Path(target)))
        try:
            with self._fs.open_output_stream(written) as stream:
                stream.write(content.getbuffer())
            if not atomic_upload:
                self._fs.move(written, target)
        except BaseException:
            if not atomic_upload and self._exists(written):
                self._fs.delete_file(written)
            raise

    def _read(self, name: str) -> bytes | None:
        path = f"{self._folder}/{name}.pt"
        if not self._exists(path):
            return None
        with self._fs.open_input_file(path) as stream:
            return bytes(stream.read())

    def _exists(self, path: str) -> bool:
        return self._fs.get_file_info(path).type != fs.FileType.NotFound


def _passes(error: Exception) -> bool:
    return isinstance(error, OSError) and not isinstance(error, PermissionError)


def checkpoint_store(root: str, number: int) -> CheckpointStore:
    """Return the checkpoint store of a trial, in a subfolder of the study's root path or URI."""
    return CheckpointStore(join_uri(root, f"{number:04d}"))


def stored_trials(root: str) -> set[int]:
    """Return the numbers of the trials that have a folder below the study's root path or URI."""
    return {int(name) for name in CheckpointStore(root).folders() if name.isascii() and name.isdigit()}
