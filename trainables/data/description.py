"""The meaning of the labels of a data set."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

NOTHING_IGNORED = -100
"""A label that occurs in no mask."""
MOST_CLASSES = 256
"""Masks are stored as uint8."""
SHOWN_LABELS = 10
"""Number of labels that a message lists."""


@dataclass(frozen=True, kw_only=True)
class DataDescription:
    """Names of the classes, by label, and the label of unlabelled pixels.

    Labels are 0, 1, 2, ...; the masks of the source may hold other values for them.
    """

    class_names: tuple[str, ...]
    ignored_label: int | None
    """Pixels with this label are excluded from loss and score; None: no label is ignored."""
    values: tuple[int, ...] | None = None
    """The value of each class in the masks of the source (for masks of colours: 65536 red + 256 green + blue); None:
    the labels themselves."""
    colour_masks: bool = False
    """Whether the masks of the source hold colours."""

    def __post_init__(self) -> None:
        if len(self.class_names) < 2 or len(set(self.class_names)) != len(self.class_names):
            raise ValueError(f"class names {list(self.class_names)}: there must be at least two, all different")
        if self.num_classes > MOST_CLASSES:
            raise ValueError(f"{self.num_classes} class names: there must be at most {MOST_CLASSES}")
        if self.ignored_label is not None and self.ignored_label not in range(self.num_classes):
            raise ValueError(
                f"ignored label {self.ignored_label}: must be one of 0 to {self.num_classes - 1}, or absent"
            )
        assert self.values is None or len(self.values) == self.num_classes

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def ignore_index(self) -> int:
        """The ignored label for functions that require one; -100, which occurs in no mask, if no label is ignored."""
        return NOTHING_IGNORED if self.ignored_label is None else self.ignored_label

    @property
    def scored_labels(self) -> tuple[int, ...]:
        """All labels except the ignored one."""
        return tuple(label for label in range(self.num_classes) if label != self.ignored_label)

    @property
    def of_competition(self) -> bool:
        """Whether these are the competition's classes: what is known of its data alone is said and done only then."""
        return self == MARS

    @property
    def mask_values(self) -> tuple[int, ...]:
        """The value of each class in the masks of the source, by label."""
        return tuple(range(self.num_classes)) if self.values is None else self.values

    def masks(self, labels: np.ndarray) -> np.ndarray:
        """Return labels (..., H, W) as the masks of the source hold them.

        Returns: (..., H, W) of the smallest integer dtype that holds the value of each class, or (..., H, W, 3) uint8
            colours if the masks of the source hold colours.
        """
        values = np.array(self.mask_values)
        if self.colour_masks:
            return np.stack([values >> 16, values >> 8 & 255, values & 255], axis=1).astype(np.uint8)[labels]
        return values.astype(np.result_type(*map(np.min_scalar_type, self.mask_values)))[labels]


MARS = DataDescription(class_names=("background", "soil", "bedrock", "sand", "big rock"), ignored_label=0)
"""The classes of the competition; background marks unlabelled pixels."""
MARS_SIZE = (64, 128)
"""(height, width) of the competition's images."""


def described_by(masks: np.ndarray) -> DataDescription:
    """Return the meaning of labels that the data set does not describe.

    It is the competition's data, whose file names no classes, if the images have its size and the labels are exactly
    its labels. Otherwise the classes are called by their labels, "0", "1", ..., and no label is ignored.

    Args:
        masks: (N, H, W) uint8 labels, at least one.

    Raises:
        ValueError: if there is only one label, or if most labels up to the largest do not occur: such labels are codes,
            as 255 is for unlabelled pixels.
    """
    seen = np.zeros(MOST_CLASSES, bool)
    for mask in masks:  # one by one: an array of indices takes 8 bytes a pixel
        seen[mask] = True
    labels = [int(label) for label in np.flatnonzero(seen)]
    if masks.shape[1:] == MARS_SIZE and labels == list(range(MARS.num_classes)):
        return MARS
    classes = labels[-1] + 1
    if classes == 1:
        raise ValueError("all pixels of the masks have the label 0: there must be at least two classes")
    if 2 * len(labels) < classes:
        shown = ", ".join(map(str, labels[:SHOWN_LABELS])) + (", ..." if len(labels) > SHOWN_LABELS else "")
        raise ValueError(
            f"its masks hold {len(labels)} of the labels 0 to {classes - 1} ({shown}) and it has no class_names: "
            "number the labels 0, 1, 2, ..., or add class_names with a name for each label"
        )
    return DataDescription(class_names=tuple(map(str, range(classes))), ignored_label=None)


def with_tuples(values: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a dataclass as they were before JSON made lists of their tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
