"""A trial's checkpoints: `last.pt` to resume from and `best.pt` to predict with, in a folder or an object store."""

from __future__ import annotations

import io
import uuid
from typing import Any

import torch
from pyarrow import fs


def below(root: str, *parts: str) -> str:
    """A path or URI below another; a URI keeps its options (`s3://bucket/study?endpoint_override=...`)."""
    address, mark, options = root.partition("?") if "://" in root else (root, "", "")
    return "/".join([address.rstrip("/"), *parts]) + mark + options


class CheckpointStore:
    """Named checkpoints under one path or URI; each is written whole or not at all.

    Args:
        location: a local path or any URI that `pyarrow.fs` opens. Made on the first save.
    """

    def __init__(self, location: str):
        self.location = location
        opened = fs.FileSystem.from_uri(location) if "://" in location else (fs.LocalFileSystem(), location)
        self._fs: Any = opened[0]
        self._folder: str = opened[1]

    def save(self, name: str, content: dict[str, Any]) -> None:
        """Write `<name>.pt`, replacing an older one in a single step."""
        buffer = io.BytesIO()
        torch.save(content, buffer)
        self._fs.create_dir(self._folder, recursive=True)
        target = f"{self._folder}/{name}.pt"
        # Object stores show an upload only when it is complete; elsewhere a rename makes it so.
        atomic_upload = not isinstance(self._fs, fs.LocalFileSystem)
        written = target if atomic_upload else f"{target}.{uuid.uuid4().hex}"
        try:
            with self._fs.open_output_stream(written) as stream:
                stream.write(buffer.getbuffer())
            if not atomic_upload:
                self._fs.move(written, target)
        except BaseException:
            if not atomic_upload and self._exists(written):
                self._fs.delete_file(written)
            raise

    def load(self, name: str, device: torch.device | str = "cpu") -> dict[str, Any] | None:
        """The content of `<name>.pt`, or None if there is none. Only tensors and plain values are unpickled.

        Raises:
            ValueError: if the file cannot be read as a checkpoint.
        """
        path = f"{self._folder}/{name}.pt"
        if not self._exists(path):
            return None
        with self._fs.open_input_file(path) as stream:
            content = stream.read()
        try:
            return torch.load(io.BytesIO(content), map_location=device, weights_only=True)
        except Exception as error:
            raise ValueError(f"{self.location}/{name}.pt: not a readable checkpoint ({error})") from error

    def delete(self, name: str) -> None:
        """Delete `<name>.pt` if it is there."""
        if self._exists(path := f"{self._folder}/{name}.pt"):
            self._fs.delete_file(path)

    def _exists(self, path: str) -> bool:
        return self._fs.get_file_info(path).type != fs.FileType.NotFound
