"""Predicted masks as PNG files, with the values that the masks of the data set have."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from search.views.pictures.prediction_panels import class_colours
from trainables.atomic_write import atomic_write, clear_leftovers
from trainables.data import DataDescription

FOLDER = "masks"
"""Name of the folder of the masks, in that of the report."""
LONGEST_NAME = 200
"""Bytes of a file's name without suffix: file systems take 255, of which a file that is being written needs 33 more."""
UNNAMED = "image"
"""Name of the file of an image whose name has neither letters nor digits."""


def file_names(names: Sequence[str]) -> list[str]:
    """Return the name of the PNG file of each image: that of the image, with its folders where names repeat.

    Of a name that is too long, the end is kept.
    """
    stems = [_plain(PurePosixPath(name).stem) for name in names]
    often = Counter(stems)
    whole = [_plain(str(PurePosixPath(name).with_suffix(""))) for name in names]
    chosen = [stem if often[stem] == 1 else path for stem, path in zip(stems, whole, strict=True)]
    again = Counter(chosen)
    return [f"{name}.png" if again[name] == 1 else f"{index:06}_{name}.png" for index, name in enumerate(chosen)]


def _plain(name: str) -> str:
    """Return a name of letters, digits, dots and dashes, of at most LONGEST_NAME bytes."""
    plain = re.sub(r"[^\w.-]+", "_", name).strip("_")
    return plain.encode()[-LONGEST_NAME:].decode(errors="ignore") or UNNAMED


def write_masks(
    folder: Path, names: Sequence[str], batches: Iterable[np.ndarray], description: DataDescription
) -> np.ndarray:
    """Write one PNG file for each image. Masks of values have the colours of the classes as their palette.

    Args:
        folder: where to; it is made if it does not exist.
        names: name of each image.
        batches: predicted labels (B, H, W) uint8, in the order of the names.
        description: the classes.

    Returns:
        (num_classes,) int64 number of the pixels of each class.

    Raises:
        OSError: if a file cannot be written.
    """
    folder.mkdir(exist_ok=True)
    clear_leftovers(folder)
    counts = np.zeros(description.num_classes, np.int64)
    files = iter(file_names(names))
    for batch in batches:
        counts += np.bincount(batch.ravel(), minlength=description.num_classes)
        for labels in batch:
            with atomic_write(folder / next(files), clears=False) as new:
                new.write_bytes(encoded(labels, description))
    assert next(files, None) is None
    return counts


def encoded(labels: np.ndarray, description: DataDescription, texts: Mapping[str, str] | None = None) -> bytes:
    """Return labels (H, W) as a PNG file: of colours if the masks of the data hold colours, else of their values.

    `texts` are stored in the file: text by keyword.
    """
    mask = description.masks(labels)
    if description.colour_masks:
        picture = Image.fromarray(mask)
    elif mask.dtype != np.uint8:  # unlabelled pixels of -1, which are not predicted, become 65535
        picture = Image.fromarray(mask.astype(np.uint16))
    else:
        picture = _with_palette(Image.fromarray(mask), np.array(description.mask_values), class_colours(description))
    stream = io.BytesIO()
    info = PngInfo()
    for keyword, text in (texts or {}).items():
        info.add_text(keyword, text)
    picture.save(stream, "png", pnginfo=info)
    return stream.getvalue()


def _with_palette(picture: Image.Image, values: np.ndarray, colours: np.ndarray) -> Image.Image:
    palette = np.zeros((256, 3), np.uint8)
    palette[values] = colours
    found = Image.frombytes("P", picture.size, picture.tobytes())
    found.putpalette(palette.ravel().tolist())
    return found
