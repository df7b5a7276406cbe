"""Data sets: where they come from, what is checked and dropped, how they are split, and the built-in sample."""

from __future__ import annotations

from trainables.data.cleaning.clean import NoSuchImageError
from trainables.data.cleaning.drop_list import read_drop_list
from trainables.data.description import MARS, DataDescription
from trainables.data.prepare import PreparedData, prepare
from trainables.data.report import DataReport
from trainables.data.source import SAMPLE, DataSource
from trainables.data.split import SPLITS

__all__ = [
    "MARS",
    "SAMPLE",
    "SPLITS",
    "DataDescription",
    "DataReport",
    "DataSource",
    "NoSuchImageError",
    "PreparedData",
    "prepare",
    "read_drop_list",
]
