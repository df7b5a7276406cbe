"""Chooses the reader of a source by what the source is."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from typing import BinaryIO

from trainables.data.readers.ai4mars import AI4Mars
from trainables.data.readers.coco import Coco, annotation_files
from trainables.data.readers.foreign_content import HEAD, UNPACK, refuse_other_than_data, what_it_is
from trainables.data.readers.image_files import SUFFIXES
from trainables.data.readers.image_folder import IMAGE_FOLDERS, MASK_FOLDERS, ImageFolder
from trainables.data.readers.npz_arrays import IMAGES, MASKS, NpzArrays
from trainables.data.readers.parquet import Parquet
from trainables.data.readers.place import Place
from trainables.data.readers.reader import Reader
from trainables.errors import listed

LAYOUTS = (
    "folders images/ and masks/ of files with the same names",
    "COCO annotations (*.json) and their images",
    "Parquet files with columns image and mask",
    "AI4Mars (images/edr, labels/train)",
)


def folder_reader(uri: str, images: str | None, masks: str | None) -> Reader:
    """Return the reader of a folder.

    Args:
        uri: path or URI of the folder.
        images, masks: names of sub-folders or columns that the user gave.

    Raises:
        ValueError: if the folder has none of the known layouts; says which were looked for.
    """
    place = Place(uri)
    if AI4Mars.fits(place) and not images and not masks:
        return AI4Mars(uri)
    if images and masks and not any(path.endswith(".parquet") for path in place.files):
        return ImageFolder(uri, images=images, masks=masks)
    inside = [f"/{path.lower()}" for path in place.files]
    if any(f"/{name}/" in path and path.endswith(SUFFIXES) for path in inside for name in MASK_FOLDERS):
        return ImageFolder(uri, images=images, masks=masks)
    if any(path.endswith(".parquet") for path in inside):
        return Parquet(uri, images=images, masks=masks)
    if annotation_files(place):
        return Coco(uri, images=images)
    if arrays := [path for path in place.files if "/" not in path and path.endswith(".npy")]:
        raise ValueError(f"{uri}: holds the arrays {listed(arrays)}: save them together in an npz file with np.savez")
    raise ValueError(
        f"{uri}: {_holds(place)}; looked for "
        f"{'; '.join(LAYOUTS)}. Images were looked for in {', '.join(IMAGE_FOLDERS)}, masks in "
        f"{', '.join(MASK_FOLDERS)}: name others with --images and --masks"
    )


def _holds(place: Place) -> str:
    """Say what a folder holds: its folders, or its files if there are none."""
    if not place.files:
        return "holds no files"
    if folders := sorted({path.rpartition("/")[0] for path in place.files} - {""}):
        return f"has folders {listed(folders)}"
    return f"has no folders, only files such as {listed(list(place.files), most=3)}"


def file_reader(uri: str, opened: Callable[[], BinaryIO], images: str | None, masks: str | None) -> Reader | None:
    """Return the reader of a single file; None if it is an npz file in the competition's layout.

    Args:
        uri: path or URI of the file.
        opened: opens the file as a seekable binary stream.
        images, masks: keys, columns or a folder that the user gave.

    Raises:
        ValueError: if the file is of no known kind; says what it is, if that can be seen.
    """
    if uri.split("?")[0].lower().endswith(".parquet"):
        return Parquet(uri, images=images, masks=masks)
    if is_annotation_file(uri):
        return Coco(uri, images=images)
    stream = opened()
    head = stream.read(HEAD)
    stream.seek(0)
    if not zipfile.is_zipfile(stream):
        stream.close()
        refuse_other_than_data(head, uri)
        raise ValueError(f"{uri}: {what_it_is(head)}")
    stream.seek(0)
    with zipfile.ZipFile(stream) as archive:
        names = archive.namelist()
    keys = [name.removesuffix(".npy") for name in names]
    if "training_set" in keys and not images:
        stream.close()
        return None
    if NpzArrays.fits(keys, images, masks):
        stream.seek(0)
        return NpzArrays(stream, uri, images=images, masks=masks)
    stream.close()
    if any("/" in name or not name.endswith(".npy") for name in names):
        files = [name for name in names if not name.endswith("/") and not name.startswith("__MACOSX/")]
        raise ValueError(f"{uri}: is a zip archive of {listed(files, most=2)}: {UNPACK}")
    raise ValueError(
        f"{uri}: has no key 'training_set', and no keys {' or '.join(IMAGES)} with {' or '.join(MASKS)} (it has "
        f"{listed(keys) or 'none'}): name its keys with --images and --masks"
    )


def is_annotation_file(uri: str) -> bool:
    """Return whether a file holds annotations in COCO's format, by its name."""
    return uri.split("?")[0].lower().endswith(".json")
