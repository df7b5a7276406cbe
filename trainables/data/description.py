"""The meaning of the labels of a data set."""

from __future__ import annotations

from dataclasses import dataclass

NOTHING_IGNORED = -100
"""A label that occurs in no mask."""
MOST_CLASSES = 256
"""Masks are stored as uint8."""


@dataclass(frozen=True, kw_only=True)
class DataDescription:
    """Names of the classes, by label, and the label of unlabelled pixels."""

    class_names: tuple[str, ...]
    ignored_label: int | None
    """Pixels with this label are excluded from loss and score; None: no label is ignored."""

    def __post_init__(self) -> None:
        if len(self.class_names) < 2 or len(set(self.class_names)) != len(self.class_names):
            raise ValueError(f"class names {list(self.class_names)}: there must be at least two, all different")
        if self.num_classes > MOST_CLASSES:
            raise ValueError(f"{self.num_classes} class names: there must be at most {MOST_CLASSES}")
        if self.ignored_label is not None and self.ignored_label not in range(self.num_classes):
            raise ValueError(
                f"ignored label {self.ignored_label}: must be one of 0 to {self.num_classes - 1}, or absent"
            )

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


MARS = DataDescription(class_names=("background", "soil", "bedrock", "sand", "big rock"), ignored_label=0)
"""The classes of the competition; background marks unlabelled pixels."""
