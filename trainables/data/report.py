"""What is to know about a data set before training on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.data.audit import Dropped
from trainables.data.description import DataDescription

SHOWN_INDICES = 5


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """Sizes, what was dropped and why, class shares, warnings."""

    name: str
    uri: str
    synthetic: bool
    labelled: int
    """Images with masks that were kept."""
    unlabelled: int
    """Images of the test set to predict."""
    size: tuple[int, int]
    """(height, width)."""
    dropped: tuple[Dropped, ...]
    class_shares: dict[str, float]
    """Part of the kept pixels, by class name."""
    parts: dict[str, int]
    """Images of each part of the split."""
    warnings: tuple[str, ...]

    def summary(self) -> str:
        """A few lines for the terminal."""
        kind = "built-in synthetic sample, not real terrain" if self.synthetic else self.uri
        parts = ", ".join(f"{count} {part}" for part, count in self.parts.items())
        shares = ", ".join(f"{name} {share:.2%}" for name, share in self.class_shares.items())
        lines = [
            f"data: {self.name} ({kind})",
            f"  {self.labelled} labelled {self.size[0]}x{self.size[1]} images ({parts}), {self.unlabelled} to predict",
            f"  pixels: {shares}",
        ]
        for dropped in self.dropped:
            shown = ", ".join(map(str, dropped.indices[:SHOWN_INDICES]))
            more = ", ..." if len(dropped.indices) > SHOWN_INDICES else ""
            lines.append(f"  dropped {len(dropped.indices)} images that {dropped.reason} (indices {shown}{more})")
        return "\n".join(lines + [f"  warning: {warning}" for warning in self.warnings])


def warnings_of(description: DataDescription, pixel_counts: np.ndarray, parts: dict[str, np.ndarray]) -> list[str]:
    """What the user should know of the classes.

    Args:
        description: of the labels.
        pixel_counts: (N, num_classes) pixels of each class in each image.
        parts: indices by part of the split.
    """
    found = []
    for label in description.scored_labels:
        name = description.class_names[label]
        holding = {part: int((pixel_counts[indices, label] > 0).sum()) for part, indices in parts.items()}
        if not sum(holding.values()):
            found.append(f"no mask holds class {label} ({name}): it is left out of the mean IoU")
        elif missing := [part for part, count in holding.items() if not count]:
            found.append(f"class {label} ({name}) is too rare for every part: none in {', '.join(missing)}")
    return found
