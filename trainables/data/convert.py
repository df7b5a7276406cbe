"""Converts a data set of any layout to one npz file: `python -m trainables.data.convert SOURCE OUT.npz`."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from trainables.atomic_write import atomic_write
from trainables.data.content import read_source
from trainables.data.raw_data import RawData
from trainables.data.sizes.images import range_of, sizes_of
from trainables.data.source import DataSource
from trainables.errors import clean

EPILOG = """\
The file has the layout of docs/sources/arrays.md: images, masks with labels 0, 1, ..., class_names, ignored_label, and,
where the source has them, test_images, names, the split and groups. Pixels are those that a search of the source would
store: whole numbers up to 255 as they are, others as floats in 0 to 1.
"""


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m trainables.data.convert",
        description="Convert a data set of any layout that --data takes to one npz file.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    top.add_argument("source", metavar="SOURCE", help="path or URI of the data set")
    top.add_argument("out", type=Path, metavar="OUT.npz", help="the file to write; it must not exist")
    top.add_argument("--images", metavar="NAME", help="where the images are, as for the search")
    top.add_argument("--masks", metavar="NAME", help="where the masks are, as for the search")
    top.add_argument("--ignored-label", type=int, metavar="VALUE", help="value of unlabelled pixels in the masks")
    return top


def convert(source: DataSource, out: Path) -> RawData:
    """Write a data set as an npz file; returns what was written, but for its arrays, which are gone.

    Raises:
        ValueError: if the source cannot be read, its images have different sizes, or the file exists.
    """
    if out.suffix != ".npz":
        raise ValueError(f"{out}: must end in .npz")
    if out.exists():
        raise ValueError(f"{out}: exists; give another name, or delete it")
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f"{out.name}.") as folder:
        raw = read_source(source, Path(folder))
        for images in (raw.images, raw.unlabelled):
            if images is not None and not isinstance(images, np.ndarray):
                raise ValueError(
                    f"{source.uri}: images are {range_of(sizes_of(images))}: an array of images holds one size; give "
                    "the source itself as --data, which may have images of different sizes"
                )
        arrays: dict[str, Any] = {"images": raw.images, "masks": raw.masks}
        arrays["class_names"] = np.array(raw.description.class_names)
        if raw.description.ignored_label is not None:
            arrays["ignored_label"] = np.array(raw.description.ignored_label)
        if raw.unlabelled is not None:
            arrays["test_images"] = raw.unlabelled
        if raw.names is not None:
            arrays["names"] = np.array(raw.names)
        if raw.unlabelled_names is not None:
            arrays["test_names"] = np.array(raw.unlabelled_names)
        if raw.parts and raw.names is not None:
            # Images without a part are in the train part, unless they are drawn for a part that the split lacks.
            arrays["split"] = np.array([raw.parts.get(name, "train") for name in raw.names])
        if raw.groups is not None:
            arrays["groups"] = np.array([group or "" for group in raw.groups])
        with atomic_write(out) as new, new.open("wb") as stream:
            np.savez_compressed(stream, allow_pickle=False, **arrays)
    return raw


def main() -> int:
    options = parser().parse_args()
    source = DataSource(
        uri=options.source, images=options.images, masks=options.masks, ignored_label=options.ignored_label
    )
    try:
        raw = convert(source, options.out)
    except (ValueError, OSError) as error:
        print(clean(f"error: {error}"), file=sys.stderr)
        return 2
    size = range_of(sizes_of(raw.masks))
    classes = raw.description.num_classes
    print(clean(f"wrote {options.out}: {len(raw.masks)} images of {size} with masks of {classes} classes"))
    for announcement in raw.announcements:
        print(clean(f"  {announcement}"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
