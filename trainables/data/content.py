"""The content of a data source: its identity, and its images and labels."""

from __future__ import annotations

import hashlib
from functools import cached_property
from io import BufferedReader
from pathlib import Path

from trainables.data.gathering.gather import gather
from trainables.data.gathering.survey import Survey, survey
from trainables.data.npz import read_npz
from trainables.data.raw_data import RawData
from trainables.data.readers.choose import file_reader, folder_reader, is_annotation_file
from trainables.data.readers.guarded import Guarded, damage_named
from trainables.data.source import SAMPLE, DataSource, find


def read_source(source: DataSource, folder: Path) -> RawData:
    """Read a data set; its arrays may be files in the given folder.

    Raises:
        ValueError: if it is not a usable data set; names the file, the value and the rule.
    """
    if source.uri != SAMPLE:
        return Content(source).read(folder)
    from trainables.data.sample import sample  # OpenCV draws it

    return sample()


class Content:
    """What a data source other than the built-in sample holds. It is opened as late as possible.

    Raises:
        ValueError: by each method, if the source is not a usable data set; names the file, the value and the rule.
    """

    def __init__(self, source: DataSource):
        self.source = source
        self._file = find(source.uri)
        """None: a folder."""

    @property
    def version(self) -> str:
        """Changes with the content; quickly found, but other on another machine."""
        if self._file is not None and not is_annotation_file(self._file.uri):
            return f"{self._file.uri} {self._file.version}"
        assert self._reader is not None
        return f"{self.source.uri} {self._reader.version}"

    @cached_property
    def identity(self) -> str:
        """Hash of the content, in hexadecimal digits: the same on every machine."""
        if self._reader is None:
            with damage_named(self.source.uri), self._opened() as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        # Of names, pixels, masks, classes, and the user's split and groups.
        declared, parts = self._reader.declared, sorted((self._reader.parts() or {}).items())
        whole = f"{self._survey.digest.hexdigest()} {declared} {parts}"
        if (groups := self._reader.groups()) is not None:
            whole += f" {sorted(groups.items())}"
        return hashlib.sha256(whole.encode("utf-8", "surrogateescape")).hexdigest()

    def read(self, folder: Path) -> RawData:
        """Read the data set; its arrays may be files in the given folder."""
        if self._reader is not None:
            return gather(self._reader, self._survey, folder, ignored=self.source.ignored_label)
        with self._opened() as stream:
            return read_npz(stream, self.source.uri, ignored=self.source.ignored_label)

    @cached_property
    def _reader(self) -> Guarded | None:
        """The reader; None for an npz file in the competition's layout."""
        uri, images, masks = self.source.uri, self.source.images, self.source.masks
        with damage_named(uri):
            if self._file is None:
                return Guarded(folder_reader(uri, images, masks))
            found = file_reader(uri, self._opened, images, masks)
        return None if found is None else Guarded(found)

    @cached_property
    def _survey(self) -> Survey:
        assert self._reader is not None
        return survey(self._reader)

    def _opened(self) -> BufferedReader:
        assert self._file is not None
        return self._file.open()
