"""The content of a data source: its identity, and its images and labels."""

from __future__ import annotations

import hashlib
from functools import cached_property
from pathlib import Path
from typing import Protocol

from trainables.data.gathering.gather import gather
from trainables.data.gathering.survey import Survey, survey
from trainables.data.npz import read_npz
from trainables.data.raw_data import RawData
from trainables.data.readers.choose import file_reader, folder_reader, is_annotation_file
from trainables.data.readers.coco import Coco
from trainables.data.readers.reader import Reader, VersionedReader
from trainables.data.sample import sample
from trainables.data.source import SAMPLE, DataSource, SourceFile, find


class Content(Protocol):
    """What a data source holds."""

    @property
    def version(self) -> str:
        """Changes with the content; quickly found, but other on another machine."""

    @property
    def identity(self) -> str:
        """Hash of the content, in hexadecimal digits: the same on every machine."""

    def read(self, folder: Path) -> RawData:
        """Read the data set; its arrays may be files in the given folder.

        Raises:
            ValueError: if it is not a usable data set; names the file, the value and the rule.
        """


def content_of(source: DataSource) -> Content:
    """Return the content of a source other than the built-in sample.

    Raises:
        ValueError: if there is no file and no folder.
    """
    file = find(source.uri)
    return _Folder(source) if file is None else _File(source, file)


def read_source(source: DataSource, folder: Path) -> RawData:
    """Read a data set; its arrays may be files in the given folder.

    Raises:
        ValueError: if it is not a usable data set; names the file, the value and the rule.
    """
    return sample() if source.uri == SAMPLE else content_of(source).read(folder)


class _Folder:
    """A data set that a reader reads image by image."""

    def __init__(self, source: DataSource):
        self.source = source

    @cached_property
    def reader(self) -> VersionedReader:
        return folder_reader(self.source.uri, self.source.images, self.source.masks)

    @property
    def version(self) -> str:
        return f"{self.source.uri} {self.reader.version}"

    @cached_property
    def survey(self) -> Survey:
        return survey(self.reader)

    @property
    def identity(self) -> str:
        return _identity(self.reader, self.survey)

    def read(self, folder: Path) -> RawData:
        return gather(self.reader, self.survey, folder, ignored=self.source.ignored_label)


class _File:
    """A single file: in the competition's layout, or one that a reader reads. It is opened as late as possible."""

    def __init__(self, source: DataSource, file: SourceFile):
        self.source, self.file = source, file

    @cached_property
    def reader(self) -> Reader | None:
        """None: the competition's layout."""
        return file_reader(self.source.uri, self.file.open, self.source.images, self.source.masks)

    @property
    def version(self) -> str:
        if is_annotation_file(self.file.uri):
            return f"{self.file.uri} {Coco(self.file.uri, images=self.source.images).version}"
        return f"{self.file.uri} {self.file.version}"

    @cached_property
    def survey(self) -> Survey:
        assert self.reader is not None
        return survey(self.reader)

    @cached_property
    def identity(self) -> str:
        if self.reader is not None:
            return _identity(self.reader, self.survey)
        try:
            with self.file.open() as stream:
                return hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ValueError(f"{self.source.uri}: cannot be read ({error})") from error

    def read(self, folder: Path) -> RawData:
        if self.reader is not None:
            return gather(self.reader, self.survey, folder, ignored=self.source.ignored_label)
        with self.file.open() as stream:
            return read_npz(stream, self.source.uri, ignored=self.source.ignored_label)


def _identity(reader: Reader, found: Survey) -> str:
    """Return the hash of names, pixels, masks, classes and the user's split."""
    declared = f"{found.digest.hexdigest()} {reader.declared} {sorted((reader.parts() or {}).items())}"
    return hashlib.sha256(declared.encode("utf-8", "surrogateescape")).hexdigest()
