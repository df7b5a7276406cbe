"""Writes images and masks in every layout that `--data` takes."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tifffile
from PIL import Image
from pycocotools import mask as coco

UNLABELLED = 255


def png(pixels: np.ndarray) -> bytes:
    """Encode (H, W) or (H, W, 3) uint8, or (H, W) uint16."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "png")
    return stream.getvalue()


def tiff(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, pixels)
    return stream.getvalue()


def npy(pixels: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, pixels)
    return stream.getvalue()


def write_files(
    folder: Path, images: np.ndarray, masks: np.ndarray, encode: Callable[[np.ndarray], bytes] = png
) -> str:
    """Write `images/000.png`, `masks/000.png`, ... and return the folder."""
    suffix = {png: "png", tiff: "tif", npy: "npy"}[encode]
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        (folder / "images" / f"{index:03}.{suffix}").write_bytes(encode(image))
        (folder / "masks" / f"{index:03}.png").write_bytes(png(mask))
    return str(folder)


def write_tiff(folder: Path, images: np.ndarray, masks: np.ndarray) -> str:
    return write_files(folder, images, masks, tiff)


def write_npy(folder: Path, images: np.ndarray, masks: np.ndarray) -> str:
    return write_files(folder, images, masks, npy)


def write_npz(folder: Path, images: np.ndarray, masks: np.ndarray) -> str:
    np.savez_compressed(folder / "arrays.npz", images=images, masks=masks)
    return str(folder / "arrays.npz")


def write_palette(folder: Path, images: np.ndarray, masks: np.ndarray) -> str:
    """Masks are palette PNGs, whose colours are of no account."""
    write_files(folder, images, masks)
    for index, mask in enumerate(masks):
        picture = Image.fromarray(mask).convert("P")
        picture.putdata(mask.ravel().tolist())
        picture.putpalette([channel for value in range(256) for channel in (255 - value, value, 7)])
        picture.save(folder / "masks" / f"{index:03}.png")
    return str(folder)


def write_colours(folder: Path, images: np.ndarray, masks: np.ndarray) -> str:
    """Masks are RGB images, with a classes.yaml that says which colour is which value."""
    values = sorted(set(np.unique(masks).tolist()))
    colours = np.zeros((256, 3), np.uint8)
    for value in values:
        colours[value] = (40 * value % 256, 255 - value, 3)
    write_files(folder, images, colours[masks])
    lines = [
        f'  - {{colour: "#{"".join(f"{part:02x}" for part in colours[value])}", name: "{value}"'
        + (", ignored: true}" if value == UNLABELLED else "}")
        for value in values
    ]
    (folder / "classes.yaml").write_text("\n".join(["classes:", *lines]) + "\n")
    return str(folder)


def write_parquet(folder: Path, images: np.ndarray, masks: np.ndarray) -> str:
    """Columns as the `datasets` library writes them: structs of bytes and path."""
    columns = {
        name: pa.array([{"bytes": png(pixels), "path": f"{index}.png"} for index, pixels in enumerate(arrays)])
        for name, arrays in (("image", images), ("mask", masks))
    }
    (folder / "data").mkdir()
    pq.write_table(pa.table(columns), folder / "data" / "all-00000-of-00001.parquet", row_group_size=7)
    return str(folder)


def write_coco(folder: Path, images: np.ndarray, masks: np.ndarray) -> str:
    """Each value but 0 is a category; its pixels in an image are one object in run-length encoding."""
    (folder / "images").mkdir()
    annotations = []
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        (folder / "images" / f"{index:03}.png").write_bytes(png(image))
        for value in set(np.unique(mask).tolist()) - {0}:
            encoded = coco.encode(np.asfortranarray(mask == value))
            shape = {"size": encoded["size"], "counts": encoded["counts"].decode()}
            annotations.append({"image_id": index, "category_id": int(value), "segmentation": shape})
    content = {
        "images": [{"id": index, "file_name": f"{index:03}.png"} for index in range(len(images))],
        "annotations": annotations,
        "categories": [{"id": int(value), "name": str(value)} for value in set(np.unique(masks).tolist()) - {0}],
    }
    (folder / "annotations.json").write_text(json.dumps(content))
    return str(folder)


def write_ai4mars(folder: Path, images: np.ndarray, masks: np.ndarray) -> str:
    """The release's folders; its images are JPEG, these are not: their pixels must stay."""
    for name in ("msl/images/edr", "msl/labels/train", "msl/labels/test/masked-gold-min3-100agree"):
        (folder / name).mkdir(parents=True)
    for index, (image, mask) in enumerate(zip(images, masks, strict=True)):
        (folder / "msl/images/edr" / f"NLB_{index:03}.png").write_bytes(png(image))
        test = index % 5 == 0
        name = f"test/masked-gold-min3-100agree/NLB_{index:03}_merged.png" if test else f"train/NLB_{index:03}.png"
        (folder / "msl/labels" / name).write_bytes(png(mask))
    return str(folder)


LAYOUTS: dict[str, Callable[[Path, np.ndarray, np.ndarray], str]] = {
    "png": write_files,
    "tiff": write_tiff,
    "npy": write_npy,
    "npz": write_npz,
    "palette": write_palette,
    "colours": write_colours,
    "parquet": write_parquet,
    "coco": write_coco,
    "ai4mars": write_ai4mars,
}
"""Each writes into an empty folder and returns the URI for --data."""
