"""Texts of the command line turned into values; what breaks a rule is refused with the rule."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from search.ledger.study_names import check_name
from search.storage.location import database_url
from trainables.uris import check_keyless


def int_at_least(minimum: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not re.fullmatch(r"[+-]?\d+", text) or int(text) < minimum:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {minimum}")
        return int(text)

    return parse


@dataclass(frozen=True)
class Workers:
    """Of a trial: a fixed number, or as many as there is room for."""

    least: int
    most: int

    @property
    def elastic_from(self) -> int | None:
        """None for a fixed number."""
        return self.least if self.least < self.most else None


def workers(text: str) -> Workers:
    """N or MIN:MAX."""
    match = re.fullmatch(r"(\d+)(?::(\d+))?", text)
    found = Workers(int(match[1]), int(match[2] or match[1])) if match else Workers(0, 0)
    if not 1 <= found.least <= found.most:
        raise argparse.ArgumentTypeError(
            f"{text!r} is neither a whole number N of at least 1 nor MIN:MAX with MIN of at least 1 and MAX of at "
            "least MIN"
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


def positive(text: str) -> float:
    return number(text, low=0, high=float("inf"), open_low=True)


def not_negative(text: str) -> float:
    return number(text, low=0, high=float("inf"), open_low=False)


AUTO = "auto"


def gpu_share(text: str) -> float | str:
    return AUTO if text == AUTO else not_negative(text)


def decay(text: str) -> float:
    value = number(text, low=0, high=1, open_low=False)
    if value == 1:
        raise argparse.ArgumentTypeError("a decay of 1 would never change: it must be below 1")
    return value


def duration(text: str) -> float:
    """ "90", "90s", "30m" or "2h"."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text)
    seconds = float(match[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[match[2]] if match else 0.0
    if seconds <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 90s, 30m or 2h")
    return seconds


def study_name(text: str) -> str:
    try:
        return check_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def database(text: str) -> str:
    try:
        return database_url(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def location(text: str) -> str:
    """A path or a URI."""
    try:
        check_keyless(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def fraction(text: str) -> float:
    return number(text, low=0, high=1, open_low=True)


def share(text: str) -> float:
    return number(text, low=0, high=1, open_low=False)


def override(text: str) -> tuple[str, Any]:
    """KEY=VALUE with the value as it reads: a whole number, a number, true or false, else a text."""
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
