"""Decodes image files: PNG, JPEG, WebP, TIFF and NPY."""

from __future__ import annotations

import io
import logging
from pathlib import PurePath

import numpy as np

from trainables.data.readers.foreign_content import refuse_other_than_data

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".npy", ".bmp")
"""The files that can be decoded, by suffix in lower case."""
_TIFF = (".tif", ".tiff")


def read_image(content: bytes, name: str, size: tuple[int, ...] | None = None) -> np.ndarray:
    """Decode an image: (H, W), or (H, W, C) in the order red, green, blue, alpha. Its dtype is the file's.

    Palettes are resolved to colours.

    Args:
        content: the content of the file.
        name: its name; the suffix says its kind.
        size: (height, width) if known: it tells which axis is that of the channels.

    Raises:
        ValueError: if the content is not an image of the kind that the name says.
    """
    return _channels_last(_decoded(content, name, palette=False), name, size)


def read_mask(content: bytes, name: str) -> np.ndarray:
    """Decode a mask: (H, W) integers or bools, or (H, W, 3) uint8 colours. Of a palette the indices are returned.

    An alpha channel is left out if it is opaque everywhere, and channels that are all the same become one.

    Raises:
        ValueError: if the content is not an image, or cannot be a mask.
    """
    if PurePath(name).suffix.lower() in (".jpg", ".jpeg"):
        raise ValueError(f"{name}: a JPEG file changes labels when it compresses them: store masks as PNG, TIFF or NPY")
    mask = _channels_last(_decoded(content, name, palette=True), name)
    if mask.ndim == 3:
        colours, alpha = (mask[..., :-1], mask[..., -1]) if mask.shape[-1] in (2, 4) else (mask, None)
        if alpha is not None and (alpha != np.iinfo(mask.dtype).max).any():
            raise ValueError(f"{name}: the mask has transparent pixels: store it without an alpha channel")
        mask = colours
        if mask.shape[-1] == 1 or (mask == mask[..., :1]).all():
            mask = mask[..., 0]
        elif mask.shape[-1] != 3 or mask.dtype != np.uint8:
            raise ValueError(
                f"{name}: the mask has {mask.shape[-1]} channels of {mask.dtype}, must have 1, or 3 of uint8"
            )
    if mask.dtype.kind == "f":
        if not (mask == np.floor(mask)).all():
            raise ValueError(f"{name}: the mask holds {mask[mask != np.floor(mask)][0]:g}: labels are whole numbers")
        mask = mask.astype(np.int64)
    return mask.astype(np.uint8) if mask.dtype.kind == "b" else mask


def _decoded(content: bytes, name: str, *, palette: bool) -> np.ndarray:
    suffix = PurePath(name).suffix.lower()
    refuse_other_than_data(content, name)
    try:
        if suffix == ".npy":
            return np.load(io.BytesIO(content), allow_pickle=False)
        if suffix in _TIFF:
            return _tiff(content)
        return _raster(content, palette=palette)
    except Exception as error:  # decoders raise errors of many kinds for a damaged file
        raise ValueError(f"{name}: cannot be decoded ({error}): fetch or save it again, or take it out") from error


def _tiff(content: bytes) -> np.ndarray:
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # what it logs of a damaged file, its error says too
    return tifffile.imread(io.BytesIO(content))


def _raster(content: bytes, *, palette: bool) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(content)) as image:
        if image.mode == "1":
            return np.asarray(image.convert("L")) // 255
        if image.mode == "P" and not palette:
            return np.asarray(image.convert("RGBA" if "transparency" in image.info else "RGB"))
        # Pillow reduces colours of 16 bits to 8: OpenCV reads those.
        if image.format == "PNG" and image.mode in ("RGB", "RGBA") and content[24:25] == b"\x10":
            return _of_16_bits(content)
        if image.mode not in ("L", "LA", "P", "RGB", "RGBA", "I", "F") and not image.mode.startswith("I;16"):
            return np.asarray(image.convert("RGB"))
        return np.asarray(image)


def _of_16_bits(content: bytes) -> np.ndarray:
    import cv2

    pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None:
        raise ValueError("not a PNG file that OpenCV reads")
    order = [2, 1, 0, 3][: pixels.shape[-1]]
    return pixels[..., order]


def _channels_last(pixels: np.ndarray, name: str, size: tuple[int, ...] | None = None) -> np.ndarray:
    """Return (H, W), or (H, W, C) of an array whose channels are the first or the last axis.

    If the size does not tell, the channels are the first axis if it is the shortest.
    """
    if pixels.ndim not in (2, 3) or 0 in pixels.shape:
        raise ValueError(f"{name}: has shape {pixels.shape}, an image is (H, W) or (H, W, C)")
    if pixels.ndim == 2:
        return pixels
    last = pixels.shape[:2] == size or (pixels.shape[1:] != size and pixels.shape[0] >= min(pixels.shape[1:]))
    pixels = pixels if last else np.moveaxis(pixels, 0, -1)
    return pixels[..., 0] if pixels.shape[-1] == 1 else pixels
