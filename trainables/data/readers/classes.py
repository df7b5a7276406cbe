"""The classes of a data set, as its source declares them or as they are found in its masks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trainables.data.description import MOST_CLASSES, DataDescription
from trainables.errors import MOST_LISTED, listed

UNLABELLED_VALUE = 255
"""The value that marks unlabelled pixels in most data sets (PASCAL VOC, Cityscapes, AI4Mars)."""
UNLABELLED_NAME = "unlabelled"
HIGHEST, LOWEST_IGNORED = 2**16 - 1, -(2**15)
"""The highest value of a class, and the lowest one of unlabelled pixels: predicted masks are PNG files of 16 bits."""


@dataclass(frozen=True, kw_only=True)
class DeclaredClass:
    """A class as a source declares it."""

    name: str
    value: int
    """Its value in the masks; for masks of colours 65536 red + 256 green + blue."""
    ignored: bool = False
    """Whether its pixels are excluded from loss and score."""


@dataclass(frozen=True, kw_only=True)
class MaskValues:
    """Which values the masks of a data set hold, and the label of each."""

    description: DataDescription
    labels: Mapping[int, int]
    """Value to label. Several values may be of the ignored class."""
    announcement: str | None = None
    """A sentence for the user about a choice that was made for them."""

    def to_labels(self, mask: np.ndarray, what: str) -> np.ndarray:
        """Return the labels (H, W) uint8 of a mask, (H, W) integers or (H, W, 3) colours.

        Args:
            mask: the mask of the source.
            what: names the mask in messages.

        Raises:
            ValueError: for a value that is of no class.
        """
        values = packed(mask)
        known = np.array(sorted(self.labels))
        places = np.searchsorted(known, values).clip(max=len(known) - 1)
        wrong = known[places] != values
        if wrong.any():
            row, column = (int(place) for place in np.unravel_index(int(wrong.argmax()), wrong.shape))
            value = shown_value(int(values[row, column]), self.description.colour_masks)
            names = listed([shown_value(int(value), self.description.colour_masks) for value in known])
            raise ValueError(f"{what} holds {value} at row {row}, column {column}: its classes are {names}")
        return np.array([self.labels[value] for value in known.tolist()], np.uint8)[places]


def packed(mask: np.ndarray) -> np.ndarray:
    """Return one value a pixel, (H, W) int64: the value of the mask, or 65536 red + 256 green + blue of a colour."""
    if mask.ndim == 2:
        return mask.astype(np.int64)
    channels = mask.astype(np.int64)
    return (channels[..., 0] << 16) | (channels[..., 1] << 8) | channels[..., 2]


def shown_value(value: int, colour: bool) -> str:
    return f"#{value:06x}" if colour else str(value)


def mask_values(
    declared: Sequence[DeclaredClass] | None, found: Iterable[int], *, ignored: int | None, colours: bool, uri: str
) -> MaskValues:
    """Return the label of each value that the masks hold.

    Declared classes have the labels 0, 1, ... in the order of the declaration. Without a declaration each value that
    occurs is a class, in ascending order, named after it. Then 255 marks unlabelled pixels if at least two other values
    occur; masks of exactly 0 and 255 are taken for two classes.

    Args:
        declared: the classes of the source; None: those that occur.
        found: the values that occur in the masks.
        ignored: the value of unlabelled pixels that the user gave; None: none was given.
        colours: whether the masks hold colours.
        uri: the source, for messages.

    Raises:
        ValueError: if these are not at least two classes and at most 256.
    """
    values, announcement = sorted(found), None
    if declared is None:
        if colours:
            raise ValueError(_colours_without_classes(values, uri))
        if ignored is None and UNLABELLED_VALUE in values and len(values) >= 3:
            ignored = UNLABELLED_VALUE
            announcement = (
                f"the masks hold {listed([str(value) for value in values])}: 255 is taken for unlabelled pixels, which "
                "are not scored; if it is a class, declare it in a classes.yaml"
            )
        elif values == [0, UNLABELLED_VALUE] and ignored is None:
            announcement = (
                "the masks hold 0 and 255: taken for two classes; with --ignored-label 255 the pixels of 255 are "
                "unlabelled instead"
            )
        declared = [
            DeclaredClass(
                name=UNLABELLED_NAME if value == ignored == UNLABELLED_VALUE else str(value),
                value=value,
                ignored=value == ignored,
            )
            for value in values
        ]
    elif ignored is not None:
        declared = _with_ignored(declared, ignored, uri)
    return _numbered(declared, colours=colours, uri=uri, announcement=announcement)


def _with_ignored(declared: Sequence[DeclaredClass], ignored: int, uri: str) -> list[DeclaredClass]:
    if ignored not in (known := [each.value for each in declared]):
        if ignored not in (UNLABELLED_VALUE, -1):
            raise ValueError(
                f"{uri}: --ignored-label {ignored} is none of the declared labels "
                f"({listed([str(value) for value in known])}), nor 255 or -1"
            )
        return [*declared, DeclaredClass(name=UNLABELLED_NAME, value=ignored, ignored=True)]
    return [
        DeclaredClass(name=each.name, value=each.value, ignored=each.ignored or each.value == ignored)
        for each in declared
    ]


def _numbered(declared: Sequence[DeclaredClass], *, colours: bool, uri: str, announcement: str | None) -> MaskValues:
    """Give labels to the classes. All ignored ones share a label: the first one's."""
    names: list[str] = []
    values: list[int] = []
    labels: dict[int, int] = {}
    ignored: int | None = None
    for each in declared:
        if each.value in labels:
            raise ValueError(f"{uri}: the label {shown_value(each.value, colours)} is declared twice")
        if each.ignored and ignored is not None:
            labels[each.value] = ignored
            continue
        labels[each.value] = len(names)
        if each.ignored:
            ignored = len(names)
        names.append(each.name)
        values.append(each.value)
    if len(names) - (ignored is not None) < 2:
        scored = [name for label, name in enumerate(names) if label != ignored]
        readings = (
            ": read 255 as the second class by leaving out --ignored-label"
            if ignored is not None and values[ignored] == UNLABELLED_VALUE
            else ""
        )
        raise ValueError(
            f"{uri}: the masks hold {len(scored)} scored class{'' if len(scored) == 1 else 'es'} "
            f"({listed(scored) or 'none'}), at least two are needed{readings}"
        )
    if len(names) > MOST_CLASSES:
        raise ValueError(f"{uri}: the masks hold {len(names)} different values, at most {MOST_CLASSES} are classes")
    if not colours:
        _check_range(labels, ignored, uri)
    try:
        description = DataDescription(
            class_names=tuple(names), ignored_label=ignored, values=tuple(values), colour_masks=colours
        )
    except ValueError as error:
        raise ValueError(f"{uri}: {error}") from None
    return MaskValues(description=description, labels=labels, announcement=announcement)


def _check_range(labels: Mapping[int, int], ignored: int | None, uri: str) -> None:
    """Raise a ValueError if predicted masks could not hold one of these values."""
    for value, label in labels.items():
        if not (LOWEST_IGNORED if label == ignored else 0) <= value <= HIGHEST:
            unlabelled = f"give --ignored-label {value} if it marks unlabelled pixels, or " if value < 0 else ""
            raise ValueError(
                f"{uri}: the masks hold {value}, but a class is a number from 0 to {HIGHEST}: {unlabelled}number the "
                "classes 0, 1, 2, ... in the masks"
            )


def _colours_without_classes(values: Sequence[int], uri: str) -> str:
    example = "\n".join(
        f'  - {{colour: "#{value:06x}", name: class {place}}}' for place, value in enumerate(values[:MOST_LISTED])
    )
    more = "" if len(values) <= MOST_LISTED else f"\n({len(values) - MOST_LISTED} more colours occur)"
    return (
        f"{uri}: the masks are colour images, and no classes.yaml says which colour is which class. Write one into the "
        f"folder, for example:\nclasses:\n{example}{more}"
    )


def checked_names(names: np.ndarray, uri: str) -> list[str]:
    """Return the `class_names` of an npz file. Raises ValueError if they are no list of strings."""
    if names.ndim != 1 or names.dtype.kind != "U":
        raise ValueError(
            f"{uri}: class_names must be a list of strings, has shape {names.shape} and type {names.dtype}"
        )
    return [str(name) for name in names]


def checked_ignored(value: np.ndarray, uri: str) -> int:
    """Return the `ignored_label` of an npz file. Raises ValueError if it is no single integer."""
    if value.shape != () or value.dtype.kind not in "iu":
        raise ValueError(f"{uri}: ignored_label must be a single integer, is {value!r}")
    return int(value)


def read_classes(text: str, name: str) -> tuple[DeclaredClass, ...]:
    """Read a classes.yaml: a list `classes` of entries with `label` or `colour`, `name`, and optionally `ignored`.

    An entry with a label may state a colour as well, which is only for display. Colours are "#rrggbb" or [r, g, b].

    Raises:
        ValueError: naming the entry and the rule.
    """
    import yaml  # not where a model only predicts

    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{name}: not valid YAML ({error})") from None
    entries = content.get("classes") if isinstance(content, dict) else content
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{name}: must hold a list `classes`, each entry with a label or a colour, and a name")
    return tuple(_entry(entry, place, name) for place, entry in enumerate(entries))


def _entry(entry: Any, place: int, name: str) -> DeclaredClass:
    what = f"{name}: entry {place}"
    if not isinstance(entry, dict):
        raise ValueError(f"{what} is {entry!r}, must have a label or a colour, and a name")
    if unknown := sorted(map(str, set(entry) - {"label", "name", "colour", "color", "ignored"})):
        raise ValueError(f"{what} has unknown keys {listed(unknown)}: known are label, name, colour, ignored")
    label, colour = entry.get("label"), entry.get("colour", entry.get("color"))
    if label is not None and (isinstance(label, bool) or not isinstance(label, int) or not 0 <= label < 2**16):
        raise ValueError(f"{what}: label is {label!r}, must be a whole number from 0 to 65535")
    if label is None and colour is None:
        raise ValueError(f"{what} has neither a label nor a colour")
    ignored = entry.get("ignored", False)
    if not isinstance(ignored, bool):
        raise ValueError(f"{what}: ignored is {ignored!r}, must be true or false")
    value = _colour(colour, what) if label is None else label
    shown = str(value) if label is not None else shown_value(value, True)
    return DeclaredClass(name=str(entry.get("name", shown)), value=value, ignored=ignored)


def _colour(colour: Any, what: str) -> int:
    if isinstance(colour, str) and len(text := colour.removeprefix("#")) == 6:
        try:
            return int(text, 16)
        except ValueError:
            pass
    if (
        isinstance(colour, list)
        and len(colour) == 3
        and all(isinstance(part, int) and not isinstance(part, bool) and 0 <= part <= 255 for part in colour)
    ):
        return (colour[0] << 16) | (colour[1] << 8) | colour[2]
    raise ValueError(f'{what}: colour is {colour!r}, must be "#rrggbb" or [red, green, blue] from 0 to 255')
