"""Parsers for command-line values; their errors state the rule that a value violates."""

from __future__ import annotations

import argparse
import csv
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.folders.path_text import check_text
from search.ledger.study_names import check_name
from search.storage.location import database_url
from trainables.uris import check_keyless

AUTO = "auto"


def int_at_least(minimum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d+", text) or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {minimum}")
        return int(text)

    return parse


MAX_SEED = 2**32 - 1
"""The largest seed that every library takes."""


def seed(text: str) -> int:
    if not re.fullmatch(r"\d+", text) or int(text) > MAX_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to {MAX_SEED}")
    return int(text)


@dataclass(frozen=True)
class Workers:
    """Number of workers of a trial: fixed, or elastic between two limits."""

    least: int
    most: int

    @property
    def elastic_from(self) -> int | None:
        """The minimum number of workers; None if the number is fixed."""
        return self.least if self.least < self.most else None


def workers(text: str) -> Workers:
    """Parse N or MIN:MAX."""
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    found = Workers(int(match[1]), int(match[2] or match[1])) if match else Workers(0, 0)
    if not 1 <= found.least <= found.most:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a whole number N of at least 1 nor MIN:MAX with 1 <= MIN <= MAX"
        )
    return found


def number(text: str, *, low: float, high: float, open_low: bool) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not (low < value if open_low else low <= value) or not value <= high or value == float("inf"):
        rule = f"a number {'above' if open_low else 'of at least'} {low:g}" + (
            f" and at most {high:g}" if high < float("inf") else ""
        )
        raise argparse.ArgumentTypeError(f"{text!r} is not {rule}")
    return value


LEAST_CROP = 16
"""Shortest side of a crop that the user may ask for, in pixels: networks halve images several times."""


def crop(text: str) -> tuple[int, int] | None:
    """Parse HxW into height and width; None for `auto`."""
    if text == AUTO:
        return None
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or min(int(match[1]), int(match[2])) < LEAST_CROP:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither {AUTO} nor a height and a width of at least {LEAST_CROP} pixels, such as 256x256"
        )
    return int(match[1]), int(match[2])


def positive(text: str) -> float:
    return number(text, low=0, high=float("inf"), open_low=True)


def not_negative(text: str) -> float:
    return number(text, low=0, high=float("inf"), open_low=False)


def gpu_share(text: str) -> float | str:
    return AUTO if text == AUTO else not_negative(text)


def decay(text: str) -> float:
    value = number(text, low=0, high=1, open_low=False)
    if value == 1:
        raise argparse.ArgumentTypeError("an average with decay 1 would never change: the decay must be below 1")
    return value


_NUMBER = r"(\d+(?:\.\d+)?)"
_DURATION = re.compile(rf"(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m)?(?:{_NUMBER}s)?")
_CLOCK = re.compile(r"(?:(\d+)-)?(\d+):([0-5]\d):([0-5]\d)")
_UNITS = (86400, 3600, 60, 1)


def duration(text: str) -> float:
    """Parse a duration into seconds: "90", "90s", "30m", "1h30m", "2d", or as in Slurm "2:00:00" or "1-12:00:00"."""
    with_unit = text + "s" if re.fullmatch(_NUMBER, text) else text
    match = _CLOCK.fullmatch(text) or _DURATION.fullmatch(with_unit)
    seconds = sum(float(part or 0) * unit for part, unit in zip(match.groups(), _UNITS, strict=True)) if match else 0.0
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90s, 30m, 1h30m, 2d or 2:00:00")
    return seconds


def study_name(text: str) -> str:
    try:
        return check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


MEAN_IOU = "mean_iou"


def metric(text: str) -> str:
    if text == MEAN_IOU:  # the default, which is parsed before the first line appears
        return text
    from trainables.prediction.metric import Metric  # with NumPy, which takes a while

    try:
        return Metric.parse(text).text
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).removeprefix("--metric ")) from None


def class_names(text: str) -> list[str]:
    """Parse names separated by commas; one that holds a comma is in double quotes."""
    try:
        names = [name.strip() for row in csv.reader([text], skipinitialspace=True) for name in row]
    except csv.Error:  # a line break outside of quotes, or a very long name
        names = []
    if not names or not all(names):
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of class names, such as soil,sand")
    return names


def database(text: str) -> str:
    try:
        return database_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def location(text: str) -> str:
    """Parse a path or a URI, which must not contain credentials. A shell leaves the tilde of `--data=~/x` as it is."""
    try:
        check_keyless(text)
        check_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if text.startswith("~/"):
        with suppress(RuntimeError):  # there is no home folder
            return str(Path(text).expanduser())
    return text


def folder(text: str) -> Path:
    """Parse the path of a folder."""
    try:
        check_text(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)


def regular_expression(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression ({error})") from None
    return text


def fraction(text: str) -> float:
    return number(text, low=0, high=1, open_low=True)


def share(text: str) -> float:
    return number(text, low=0, high=1, open_low=False)


def override(text: str) -> tuple[str, Any]:
    """Parse KEY=VALUE; the value becomes an int, a float or a bool if it is written like one, otherwise a string."""
    key, mark, value = text.partition("=")
    if not (key and mark and value):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, such as model.width=16")
    if value in ("true", "false"):
        return key, value == "true"
    for kind in (int, float):
        try:
            return key, kind(value)
        except ValueError:
            continue
    return key, value
