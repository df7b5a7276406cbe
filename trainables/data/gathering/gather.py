"""A second pass over a data set: its images and labels in arrays on a disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from trainables.data.gathering.channel_moments import with_channels
from trainables.data.gathering.survey import Survey
from trainables.data.raw_data import RawData
from trainables.data.readers.classes import HIGHEST, mask_values
from trainables.data.readers.reader import Reader
from trainables.data.sizes.npy_files import NpyWriter, read_images, shape_of


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
    channels, pixels = found.channels, found.pixel_format
    # Colour masks may happen to be black and white: their classes are declared by colours then.
    colours = found.colours or any(each.value > HIGHEST for each in reader.declared or ())
    classes = mask_values(reader.declared, found.values, ignored=ignored, colours=colours, uri=reader.uri)
    sizes, to_predict = np.array(found.sizes, np.int64), np.array(found.unlabelled_sizes, np.int64)
    places = {name: folder / f"{name}.npy" for name in ("images", "masks", "unlabelled")}

    def writer(name: str, dtype: str, sizes: np.ndarray, channels: int) -> NpyWriter:
        return NpyWriter(places[name], dtype, shape_of(sizes, () if channels == 1 else (channels,)))

    with writer("images", pixels.dtype, sizes, channels) as images, writer("masks", "uint8", sizes, 1) as masks:
        for pair in reader.pairs():
            images.write(pixels.stored(with_channels(pair.image, channels)))
            grey = colours and pair.mask.ndim == 2
            mask = np.repeat(pair.mask[..., None], 3, axis=-1) if grey else pair.mask
            masks.write(classes.to_labels(mask, f"{reader.uri}: the mask of {pair.name}"))
    if found.unlabelled:
        with writer("unlabelled", pixels.dtype, to_predict, channels) as unlabelled:
            for image in reader.unlabelled():
                unlabelled.write(pixels.stored(with_channels(image.image, channels)))
    groups = reader.groups()
    return RawData(
        description=classes.description,
        images=read_images(places["images"], sizes),
        masks=read_images(places["masks"], sizes),
        unlabelled=read_images(places["unlabelled"], to_predict) if found.unlabelled else None,
        pixels=pixels,
        names=tuple(found.names),
        unlabelled_names=tuple(found.unlabelled) or None,
        parts=reader.parts() or {},
        groups=None if groups is None else tuple(groups.get(name) for name in found.names),
        announcements=() if classes.announcement is None else (classes.announcement,),
    )
