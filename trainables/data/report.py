"""A report on a data set, to read before training on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from trainables.data.cleaning.unusable_pairs import Flagged
from trainables.data.description import DataDescription
from trainables.data.split import GIVEN, GROUPED, RANDOM
from trainables.errors import listed

SHOWN_INDICES, SHOWN_CLASSES = 5, 20
"""Number of dropped indices to list for each reason."""
MANY = "these are more than 1 % of the images or most of a class"
ASKED = "outliers are kept as asked"
UNNAMED = (
    "the file has no class_names, so its classes are called by their labels and no label is ignored: to name them, or "
    "to ignore one, save class_names and ignored_label in the file"
)


@dataclass(frozen=True, kw_only=True)
class DataReport:
    """Sizes, dropped images with the reasons, class shares and warnings."""

    name: str
    uri: str
    synthetic: bool
    """Whether it is the built-in sample."""
    labelled: int
    """Number of images with masks, without the dropped ones."""
    unlabelled: int
    """Number of test images, to predict."""
    sizes: str
    """Sizes of the labelled images in words: "64x128" or "200x300 to 1200x1600"."""
    crops: str | None = None
    """Size of the crops, and the reason for it, in words; None: images are not cropped."""
    channels: int = 1
    split: str = RANDOM
    """Kind of the split, one of `SPLITS`."""
    announcements: tuple[str, ...] = ()
    """Sentences about choices that were made for the user."""
    dropped: tuple[Flagged, ...]
    doubtful: tuple[Flagged, ...]
    """Images that a rule finds unusable, but that are kept."""
    doubtful_list: str | None = None
    """Path of a drop list that names them too; None if there are none."""
    keep_outliers: bool = False
    """Whether they are kept because the user asked for it, and not because they are many."""
    named: bool = True
    """False if the file does not name the classes, which are called by their labels."""
    class_shares: dict[str, float]
    """Fraction of all pixels, in [0, 1], by class name."""
    parts: dict[str, int]
    """Number of images, by part of the split."""
    warnings: tuple[str, ...]

    def summary(self) -> str:
        """Return a few lines for the terminal."""
        kind = "built-in synthetic sample, not real terrain" if self.synthetic else self.uri
        channels = "" if self.channels == 1 else f", {self.channels} channels"
        parts = ", ".join(f"{count} {part}" for part, count in self.parts.items())
        shares = listed([f"{name} {share:.2%}" for name, share in self.class_shares.items()], most=SHOWN_CLASSES)
        lines = [
            f"data: {self.name}" if kind == self.name else f"data: {self.name} ({kind})",
            f"  {self.labelled} labelled images of {self.sizes} pixels{channels} ({parts}), "
            f"{self.unlabelled} to predict",
            f"  pixels: {shares}",
        ]
        if self.crops is not None:
            lines.append(f"  trained on crops of {self.crops}, predicted in overlapping tiles of this size")
        lines += [f"  {announcement}" for announcement in self.announcements]
        lines += [] if self.named else [f"  {UNNAMED}"]
        lines += [f"  dropped {_images(pairs)}" for pairs in self.dropped]
        why = ASKED if self.keep_outliers else MANY
        lines += [f"  warning: kept {_images(pairs)}; {why}" for pairs in self.doubtful]
        if self.doubtful:
            lines.append(f"  to drop the images that were kept with a warning: --drop-list {self.doubtful_list}")
        return "\n".join(lines + [f"  warning: {warning}" for warning in self.warnings])

    @property
    def split_name(self) -> str:
        """The kind of the split, in words."""
        names = {GIVEN: "given split", GROUPED: "split 80/10/10 by groups", RANDOM: "split 80/10/10"}
        return names[self.split]


def _images(pairs: Flagged) -> str:
    which = (
        listed(pairs.names, most=SHOWN_INDICES)
        if pairs.names
        else f"indices {listed(pairs.indices, most=SHOWN_INDICES)}"
    )
    return f"{len(pairs.indices)} images that {pairs.reason} ({which})"


def warnings_of(
    description: DataDescription,
    pixel_counts: np.ndarray,
    parts: dict[str, np.ndarray],
    groups: np.ndarray | None = None,
) -> list[str]:
    """Return warnings about classes that are absent from the masks, or from a part of the split.

    Args:
        description: the classes.
        pixel_counts: (N, num_classes) pixels of each class in each image.
        parts: indices of the images, by part of the split.
        groups: (N,) number of each image's group; None: they are split one by one.
    """

    def too_few(label: int) -> str:
        if groups is None:
            return "too rare"
        return f"in too few groups ({len(np.unique(groups[pixel_counts[:, label] > 0]))})"

    found = []
    for label in description.scored_labels:
        name = description.class_names[label]
        holding = {part: int((pixel_counts[indices, label] > 0).sum()) for part, indices in parts.items()}
        if not sum(holding.values()):
            found.append(f"no mask holds class {label} ({name}): it is left out of the mean IoU")
        elif missing := [part for part, count in holding.items() if not count]:
            found.append(
                f"class {label} ({name}) is {too_few(label)} to be in every part: none in {', '.join(missing)}"
            )
    return found
