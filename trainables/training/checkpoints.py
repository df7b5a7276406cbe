"""A trial's checkpoints: `last.pt` to resume from and `best.pt` to predict with, in a folder or an object store."""

from __future__ import annotations

import io
import re
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import torch
from pyarrow import fs

from trainables.errors import StorageError

PAUSES = (1.0, 2.0, 4.0, 8.0, 15.0)
OURS = re.compile(r"(?:last|best)\.pt(?:\.[0-9a-f]+)?")
"""Files of a trial, and what is written of one before it is whole."""

Result = TypeVar("Result")


class DamagedCheckpoint(ValueError):
    """A file that is there but holds no checkpoint: cut short, or written by something else."""


def join_uri(root: str, *parts: str) -> str:
    """A path or URI below another; a URI keeps its options (`s3://bucket/study?endpoint_override=...`)."""
    address, mark, options = root.partition("?") if "://" in root else (root, "", "")
    return "/".join([address.rstrip("/"), *parts]) + mark + options


class CheckpointStore:
    """Named checkpoints under one path or URI; each is written whole or not at all.

    A symbolic link in the place of the folder, or of the one above it, is not followed: a study's folder may be
    somebody else's, and the link may lead to files of whoever runs the study.

    Args:
        location: a local path or any URI that `pyarrow.fs` opens. Made on the first save.
        pauses: seconds to wait before each further attempt at a storage that does not answer.
    """

    def __init__(self, location: str, pauses: Sequence[float] = PAUSES):
        self.location, self.pauses = location, pauses
        opened = fs.FileSystem.from_uri(location) if "://" in location else (fs.LocalFileSystem(), location)
        self._fs: Any = opened[0]
        self._folder: str = opened[1]

    def save(self, name: str, content: dict[str, Any]) -> None:
        """Write `<name>.pt`, replacing an older one in a single step.

        Raises:
            StorageError: if the storage takes nothing, also after a while.
        """
        buffer = io.BytesIO()
        torch.save(content, buffer)
        self._insist(lambda: self._write(name, buffer))

    def load(self, name: str, device: torch.device | str = "cpu") -> dict[str, Any] | None:
        """The content of `<name>.pt`, or None if there is none. Only tensors and plain values are unpickled.

        Raises:
            StorageError: if the storage gives nothing, also after a while.
            DamagedCheckpoint: if the file cannot be read as a checkpoint.
        """
        content = self._insist(lambda: self._read(name))
        if content is None:
            return None
        try:
            return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        except Exception as error:
            raise DamagedCheckpoint(f"{self.location}/{name}.pt: not a readable checkpoint ({error})") from error

    def keep(self, *names: str) -> None:
        """Delete all of a trial's checkpoints but these, also what a killed process wrote in part; no other files."""
        if self._is_linked():
            return
        kept = {f"{name}.pt" for name in names}
        for file in self._fs.get_file_info(fs.FileSelector(self._folder, allow_not_found=True)):
            if file.type == fs.FileType.File and OURS.fullmatch(file.base_name) and file.base_name not in kept:
                self._fs.delete_file(file.path)

    def delete(self) -> None:
        """Delete all there is, and the place itself."""
        if self._exists(self._folder) and not self._is_linked():
            self._fs.delete_dir(self._folder)

    def folders(self) -> list[str]:
        """Names of the folders below, but for those that are links."""
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
        if self._is_linked():
            raise StorageError(f"{self.location}: a symbolic link in the place of a folder is not followed")
        for pause in (*self.pauses, None):
            try:
                return action()
            except OSError as error:
                if pause is None or isinstance(error, PermissionError):
                    raise StorageError(f"{self.location}: {error}") from error
                time.sleep(pause)
        raise AssertionError

    def _write(self, name: str, content: io.BytesIO) -> None:
        self._fs.create_dir(self._folder, recursive=True)
        target = f"{self._folder}/{name}.pt"
        # Object stores show an upload only when it is complete; elsewhere a rename makes it so.
        atomic_upload = not self._is_local
        written = target if atomic_upload else f"{target}.{uuid.uuid4().hex}"
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


def checkpoint_store(root: str, number: int) -> CheckpointStore:
    """Where the trial of that number keeps its checkpoints, below the study's root path or URI."""
    return CheckpointStore(join_uri(root, f"{number:04d}"))


def stored_trials(root: str) -> set[int]:
    """Numbers of the trials that have a folder there."""
    return {int(name) for name in CheckpointStore(root).folders() if name.isascii() and name.isdigit()}
