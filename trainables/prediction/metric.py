"""The metric: what a search maximises and a report ranks by, computed from a confusion matrix."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainables.data import DataDescription
from trainables.errors import clean
from trainables.prediction.iou import Tallies, mean_of_counted

CLASS_IOU = "class_iou"
FORMS = ("mean_iou", "dice", f"{CLASS_IOU}:NAME")
"""The metrics as the user writes them."""
MEASURES = {"iou": "IoU", "dice": "Dice"}
"""What is computed of each class, and its name in headings."""
MOST_NAMED = 2
"""Most classes that a heading names."""
LONGEST_NAME = 24
"""Letters of a class's name that a heading shows."""


@dataclass(frozen=True, kw_only=True)
class Metric:
    """The mean, over the classes that count, of a measure of each class.

    A class that does not count is trained and predicted as any other; predicted on a pixel of a class that counts, it
    is an error.
    """

    measure: str = "iou"
    """A key of MEASURES: "iou", or "dice", which is 2 TP / (2 TP + FP + FN)."""
    classes: tuple[str, ...] | None = None
    """Names of the classes that count where the masks hold them, see `class_iou`; None: all scored classes."""

    def __post_init__(self) -> None:
        if self.measure not in MEASURES or (self.classes is not None and not self.classes):
            raise ValueError(f"metric {self.measure!r} of classes {self.classes}: must be one of {', '.join(FORMS)}")

    @classmethod
    def parse(cls, text: str, score_classes: Sequence[str] | None = None) -> Metric:
        """Build a metric from the values of `--metric` and `--score-classes`.

        Raises:
            ValueError: if there is no such metric, or if it names its class itself and classes are given too.
        """
        kind, _, name = text.partition(":")
        classes = None if score_classes is None else tuple(score_classes)
        if kind == CLASS_IOU and name:
            if classes is not None:
                raise ValueError(f"metric {text} names its class itself: leave out score_classes")
            return cls(classes=(name,))
        if text not in ("mean_iou", "dice"):
            near = _nearest(kind, (form.partition(":")[0] for form in FORMS))
            raise ValueError(f"--metric {text}: unknown metric, must be one of {', '.join(FORMS)}{near}")
        return cls(measure="dice" if text == "dice" else "iou", classes=classes)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Metric:
        """Build a metric from its fields by name, with lists for tuples; those that are missing take their defaults."""
        fields: dict[str, Any] = dict(values)
        if fields.get("classes") is not None:
            fields["classes"] = tuple(fields["classes"])
        return cls(**fields)

    @property
    def text(self) -> str:
        """The value of `--metric`."""
        if self.measure == "iou" and self.classes is not None and len(self.classes) == 1:
            return f"{CLASS_IOU}:{self.classes[0]}"
        return "dice" if self.measure == "dice" else "mean_iou"

    @property
    def score_classes(self) -> list[str] | None:
        """The value of `--score-classes`; None if it is not needed."""
        return None if self.classes is None or self.text.startswith(f"{CLASS_IOU}:") else list(self.classes)

    def counts(self, name: str) -> bool:
        """Return whether a class counts, if the masks hold it and it is not ignored."""
        return self.classes is None or name in self.classes

    @property
    def mean(self) -> str:
        """Its name without the classes: "mean IoU"."""
        return f"mean {MEASURES[self.measure]}"

    @property
    def title(self) -> str:
        """Its name in headings and sentences: "mean IoU", "mean Dice of soil, sand" or "IoU of rock"."""
        name = MEASURES[self.measure]
        if self.classes is None:
            return self.mean
        if len(self.classes) > MOST_NAMED:
            return f"{self.mean} of {len(self.classes)} classes"
        return f"{name if len(self.classes) == 1 else self.mean} of {', '.join(map(_short, self.classes))}"

    def sentence(self) -> str:
        """Name it with all its classes."""
        if self.classes is None or len(self.classes) <= MOST_NAMED:
            return f"{self.title} on the validation part"
        return f"{self.title} on the validation part: {', '.join(map(_short, self.classes))}"

    @property
    def tag(self) -> str:
        """Its name in columns of files and in TensorBoard: "mean_iou", or "score" for any other metric."""
        return "mean_iou" if self.is_mean_iou else "score"

    @property
    def is_mean_iou(self) -> bool:
        """Whether it is the mean IoU of all scored classes, which is also reported beside any other metric."""
        return self == MEAN_IOU

    def score(self, counted: np.ndarray | Tallies, class_names: Sequence[str], ignored_label: int | None) -> np.ndarray:
        """Return the score: (...) float64 in [0, 1]; NaN if no class counts.

        Args:
            counted: (..., C, C) pixel counts, rows are true labels, columns predictions; or their `Tallies`. The row
                of the ignored label is 0.
            class_names: (C,) names of the classes.
            ignored_label: the ignored label; None: no label is ignored.
        """
        tallies = counted if isinstance(counted, Tallies) else Tallies.of(counted)
        found = tallies.class_iou(ignored_label)
        if self.measure == "dice":
            found = 2 * found / (1 + found)  # the same class by class; NaN stays NaN
        if self.classes is not None:
            found = found[..., [class_names.index(name) for name in self.classes]]
        return mean_of_counted(found)

    def check(self, described: DataDescription, held: Collection[int]) -> Metric:
        """Check its classes against those of the data; returns it with them in the order of their labels.

        Args:
            described: the classes of the data.
            held: labels that the masks of the validation part hold.

        Raises:
            ValueError: if a class is unknown or ignored, or if the validation part holds none of them.
        """
        if self.classes is None:
            return self
        option = f"--metric {self.text}" if self.score_classes is None else "--score-classes"
        names = described.class_names
        scored = [names[label] for label in described.scored_labels]
        for name in self.classes:
            if name not in names:
                raise ValueError(
                    f"{option}: the data has no class {name!r}, its classes are {', '.join(scored)}"
                    f"{_nearest(name, scored)}"
                )
            if name not in scored:
                raise ValueError(
                    f"{option}: {name!r} is the ignored class, which is never scored: name others of "
                    f"{', '.join(scored)}"
                )
        if not any(names[label] in self.classes for label in held):
            raise ValueError(
                f"{option}: no mask of the validation part holds {' or '.join(self.classes)}, so that no trial would "
                "have a score: score other classes, or give another --seed for another split"
            )
        ordered = tuple(name for name in scored if name in self.classes)
        return Metric(measure=self.measure, classes=None if len(ordered) == len(scored) else ordered)

    def identity(self) -> dict[str, Any]:
        """Return what tells trainings under different metrics apart; nothing for the mean IoU, the only one of earlier
        versions."""
        return {} if self.is_mean_iou else {"metric": [self.measure, self.classes and list(self.classes)]}


MEAN_IOU = Metric()


def _nearest(name: str, known: Iterable[str]) -> str:
    """Return a question about the known name that is most like this one; "" if none is."""
    found = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _short(name: str) -> str:
    line = " ".join(clean(name).split())
    return line if len(line) <= LONGEST_NAME else f"{line[:LONGEST_NAME]}..."
