"""A second pass over a data set: its images and labels in arrays on a disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables.data.gathering.channel_moments import with_channels
from trainables.data.gathering.survey import Survey
from trainables.data.raw_data import RawData
from trainables.data.readers.classes import mask_values
from trainables.data.readers.reader import Reader


def gather(reader: Reader, found: Survey, folder: Path, *, ignored: int | None = None) -> RawData:
    """Read a data set into memory-mapped arrays.

    Args:
        reader: the data set.
        found: what is known of it.
        folder: an existing folder for the arrays.
        ignored: value of unlabelled pixels in the masks; None: as the source declares it, if it does.

    Raises:
        ValueError: naming the image and the rule, if the data set cannot be read or used.
    """
    size, channels, pixels = found.size, found.channels, found.pixel_format
    classes = mask_values(reader.declared, found.values, ignored=ignored, colours=found.colours, uri=reader.uri)
    shape = size if channels == 1 else (*size, channels)
    images = _array(folder / "images.npy", pixels.dtype, (len(found.names), *shape))
    masks = _array(folder / "masks.npy", "uint8", (len(found.names), *size))
    for index, pair in enumerate(reader.pairs()):
        images[index] = pixels.stored(with_channels(pair.image, channels))
        mask = pair.mask if not found.colours or pair.mask.ndim == 3 else np.repeat(pair.mask[..., None], 3, axis=-1)
        masks[index] = classes.to_labels(mask, f"{reader.uri}: the mask of {pair.name}")
    unlabelled = None
    if found.unlabelled:
        unlabelled = _array(folder / "unlabelled.npy", pixels.dtype, (len(found.unlabelled), *shape))
        for index, image in enumerate(reader.unlabelled()):
            unlabelled[index] = pixels.stored(with_channels(image.image, channels))
    groups = reader.groups()
    return RawData(
        description=classes.description,
        images=images,
        masks=masks,
        unlabelled=unlabelled,
        pixels=pixels,
        names=tuple(found.names),
        unlabelled_names=tuple(found.unlabelled) or None,
        parts=reader.parts() or {},
        groups=None if groups is None else tuple(groups.get(name) for name in found.names),
        announcements=() if classes.announcement is None else (classes.announcement,),
    )


def _array(path: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    return np.lib.format.open_memmap(path, mode="w+", dtype=np.dtype(dtype), shape=shape)
