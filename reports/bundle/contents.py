"""What a bundle says about its model: the file `model.json`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trainables.data.description import DataDescription, with_tuples
from trainables.data.pixel_format import PixelFormat
from trainables.prediction.decision import Decision
from trainables.prediction.metric import MEAN_IOU, Metric

FORMAT = 1
"""Version of `model.json` and of the names in the file of weights."""
CONTENTS, WEIGHTS, ONNX, CARD = "model.json", "weights.safetensors", "model.onnx", "README.md"
"""The files of a bundle."""


@dataclass(frozen=True, kw_only=True)
class Member:
    """A trial whose weights are in the bundle."""

    trial: int
    """Its number in the study."""
    weight: int
    """Its share of the average is this, over the sum of all members' weights."""
    configuration: Mapping[str, Any]
    """The flat form of its `TrialConfig`."""
    trained_on: str
    """The images whose labels its weights have seen: "train part" or "all labelled images"."""

    @property
    def prefix(self) -> str:
        """What the names of its weights begin with."""
        return f"{self.trial:04d}/"


@dataclass(frozen=True, kw_only=True)
class Contents:
    """All of a model but its weights."""

    description: DataDescription
    """The classes, and the values that masks hold for them."""
    pixels: PixelFormat
    tile: tuple[int, int]
    """(height, width) of the images that the model was trained on. Others are predicted in tiles of this size."""
    members: tuple[Member, ...]
    flips: int
    """How many of `FLIPS` are averaged: 1, 2 or 4."""
    decision: Decision
    suppressed: int | None
    """Label that is never predicted; None: each label may be."""
    precision: str
    """bf16, fp32 or auto, as the study computed."""
    metric: Metric = MEAN_IOU
    """What the study maximised, and what new images are scored by."""
    files: Mapping[str, str] = field(default_factory=dict)
    """SHA-256 of the other files of the bundle, by name."""
    onnx: Mapping[str, Any] | None = None
    """Facts about the ONNX file; None without one."""
    about: Mapping[str, Any] = field(default_factory=dict)
    """For people: study, data, scores, software. Predictions do not depend on it."""

    def to_json(self) -> str:
        return json.dumps({"format": FORMAT, **dataclasses.asdict(self)}, indent=2) + "\n"

    @property
    def identity(self) -> str:
        """Identifies the model: it is the same for the same predictions, and changes with weights and settings."""
        settings = dataclasses.replace(
            self, onnx=None, about={}, metric=MEAN_IOU, files={WEIGHTS: self.files.get(WEIGHTS, "")}
        )
        return hashlib.sha256(settings.to_json().encode()).hexdigest()[:16]


def read_contents(path: Path) -> Contents:
    """Read a `model.json`.

    Raises:
        ValueError: if it cannot be read, is of a newer version, or describes no model.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        version = found.pop("format")
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{path}: does not describe a model ({error!r}): write it again with reports/run.py"
        ) from error
    if version != FORMAT:
        raise ValueError(f"{path}: has format {version!r}, this version reads {FORMAT}: use the version that wrote it")
    try:
        return _checked(Contents(**_parts(found)))
    except (ValueError, KeyError, TypeError, AttributeError, AssertionError) as error:
        raise ValueError(f"{path}: does not describe a model ({error})") from error


def _parts(found: dict[str, Any]) -> dict[str, Any]:
    kinds = {"description": DataDescription, "pixels": PixelFormat, "decision": Decision}
    parts = {name: kind(**with_tuples(found[name])) for name, kind in kinds.items()}
    members = tuple(Member(**member) for member in found["members"])
    metric = Metric.from_dict(found["metric"])
    return found | parts | {"members": members, "metric": metric, "tile": tuple(found["tile"])}


def _checked(contents: Contents) -> Contents:
    """Check what building the model does not check."""
    classes, label, metric = contents.description.num_classes, contents.suppressed, contents.metric
    numbers = [member.trial for member in contents.members]
    known, values = set(contents.description.class_names), contents.description.mask_values
    pixels, decision = contents.pixels, contents.decision
    by_channel = (pixels.low, pixels.high, pixels.mean, pixels.std)
    rules = {
        "tile must be two whole numbers above 0": len(contents.tile) == 2 and all(_above_0(n) for n in contents.tile),
        "flips must be 1, 2 or 4": contents.flips in (1, 2, 4),
        "there must be members, each once": bool(numbers) and len(set(numbers)) == len(numbers),
        "values of masks must be whole numbers": all(isinstance(value, int) for value in values),
        "pixels must be uint8 or float32": pixels.dtype in ("uint8", "float32"),
        "pixels must have a number for each channel": all(
            _are_numbers(each) and len(each) == len(pixels.mean) > 0 for each in by_channel
        ),
        "the decision must be of numbers": _are_numbers((*decision.offsets, decision.prior))
        and isinstance(decision.smallest, int),
        "trials must be numbers": all(isinstance(number, int) and number >= 0 for number in numbers),
        "configurations must be objects": all(isinstance(member.configuration, dict) for member in contents.members),
        "files must be an object": isinstance(contents.files, dict),
        "the metric must be of classes of the model": metric.classes is None or known.issuperset(metric.classes),
        "weights of members must be above 0": all(_above_0(member.weight) for member in contents.members),
        "suppressed must be a label": label is None or label in range(classes),
        "there must be one offset for each class, or none": len(contents.decision.offsets) in (0, classes),
    }
    for rule, holds in rules.items():
        if not holds:
            raise ValueError(rule)
    return contents


def _above_0(number: Any) -> bool:
    return isinstance(number, int) and number > 0


def _are_numbers(values: Any) -> bool:
    return isinstance(values, tuple) and all(isinstance(each, int | float) and math.isfinite(each) for each in values)


def digest(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
