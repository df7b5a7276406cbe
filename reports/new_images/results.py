"""The files of predicted images: masks, overlays, probabilities and the submission.

Each mask says which model made it of which image. A later command leaves out the images whose masks it would write
again, and never replaces a file that is something else.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reports.bundle.contents import Contents
from reports.new_images.sources import OVERLAYS, PROBABILITIES, NewImage
from reports.predicted_masks import FOLDER, encoded, file_names
from reports.submission_csv import check_submission, write_submission
from search.views.pictures.prediction_panels import class_colours
from trainables.atomic_write import atomic_write, clear_leftovers
from trainables.data.description import DataDescription
from trainables.data.readers.classes import MaskValues
from trainables.data.readers.image_files import read_mask

SOFTWARE = "mars-search predict"
MARKS = ("Software", "Model", "Image", "Version")
"""Keywords of the texts in a mask: SOFTWARE, and the identities of the model, of the image and of its content."""
SUBMISSION = "submission.csv"
OPACITY = 0.5
"""Part of the class's colour in an overlay."""


def mask_values(description: DataDescription) -> MaskValues:
    """Return the label of each value in predicted and true masks.

    A value of unlabelled pixels below 0 is 65536 more in predicted masks, which are PNG files, see `encoded`.
    """
    labels = {value: label for label, value in enumerate(description.mask_values)}
    return MaskValues(
        description=description, labels={value % 2**16: labels[value] for value in labels if value < 0} | labels
    )


class Results:
    """The results of some images in a folder.

    Args:
        folder: the folder; it is created if it does not exist.
        contents: the model.
        images: the images, in order.
        overlays, probabilities: whether these are written too.

    Raises:
        OSError: if the folder cannot be created.
    """

    def __init__(
        self, folder: Path, contents: Contents, images: list[NewImage], *, overlays: bool, probabilities: bool
    ):
        self.folder, self.contents, self.images = folder, contents, images
        self.overlays, self.probabilities = overlays, probabilities
        self.masks = [folder / FOLDER / name for name in file_names([image.name for image in images])]
        """The mask of each image."""
        names = [FOLDER, *([OVERLAYS] if overlays else []), *([PROBABILITIES] if probabilities else [])]
        self.folders = [folder / name for name in names]
        """The folders of all that is written for each image."""
        for each in self.folders:
            each.mkdir(parents=True, exist_ok=True)
            clear_leftovers(each)

    def missing(self) -> list[int]:
        """Return the places of the images whose results are not there yet, from this model and this version.

        Raises:
            ValueError: if something else lies where a mask is to be written.
        """
        return [place for place, path in enumerate(self.masks) if not self._is_there(path, self.images[place])]

    def _is_there(self, mask: Path, image: NewImage) -> bool:
        if not mask.exists():
            return False
        wanted, found = self._marks(image), _marks_of(mask)
        if found.get("Software") != SOFTWARE:
            raise ValueError(f"{mask}: exists, and was not written by this command: give another folder with -o")
        if found.get("Image") != wanted["Image"]:
            raise ValueError(f"{mask}: is the mask of another image of this name: give another folder with -o")
        wanted_too = [path for path, asked in self._beside(mask) if asked]
        return found == wanted and all(path.exists() for path in wanted_too)

    def _marks(self, image: NewImage) -> dict[str, str]:
        return dict(zip(MARKS, (SOFTWARE, self.contents.identity, image.identity, image.version), strict=True))

    def _beside(self, mask: Path) -> list[tuple[Path, bool]]:
        """Return the other files of an image, and whether each is asked for."""
        return [
            (self.folder / OVERLAYS / mask.name, self.overlays),
            (self.folder / PROBABILITIES / f"{mask.stem}.npy", self.probabilities),
        ]

    def write(self, place: int, stored: np.ndarray, labels: np.ndarray, probabilities: torch.Tensor) -> None:
        """Write the results of an image, its mask last: it stands for all of them.

        Args:
            place: the place of the image.
            stored: stored pixels (H, W) or (H, W, C).
            labels: (H, W) uint8.
            probabilities: (C, H, W) fp32.
        """
        mask = self.masks[place]
        for path, asked in self._beside(mask):
            if not asked:  # of another model
                path.unlink(missing_ok=True)
        overlay, numbers = (path for path, _ in self._beside(mask))
        if self.overlays:
            with atomic_write(overlay, clears=False) as new:
                new.write_bytes(_overlay(stored, labels, self.contents))
        if self.probabilities:
            with atomic_write(numbers, clears=False) as new, new.open("wb") as stream:
                np.save(stream, probabilities.cpu().numpy())
        with atomic_write(mask, clears=False) as new:
            new.write_bytes(encoded(labels, self.contents.description, self._marks(self.images[place])))

    def labels(self, place: int) -> np.ndarray:
        """Return the labels (H, W) uint8 of a mask that was written."""
        path = self.masks[place]
        return mask_values(self.contents.description).to_labels(read_mask(path.read_bytes(), str(path)), str(path))

    def write_submission(self) -> Path:
        """Write the submission of all images, in order, and check it.

        Raises:
            ValueError: if the images have several sizes.
        """
        path, described = self.folder / SUBMISSION, self.contents.description
        sizes = dict.fromkeys(_size_of(mask) for mask in self.masks)
        if len(sizes) > 1:
            shown = " and ".join(f"{width}x{height}" for width, height in list(sizes)[:2])
            raise ValueError(f"{path}: not written: the images have {len(sizes)} sizes, such as {shown}; it takes one")
        ((width, height),) = sizes

        def batches() -> Iterator[np.ndarray]:
            for place in range(len(self.images)):
                yield self.labels(place)[None]

        write_submission(path, batches(), width * height)
        try:
            check_submission(
                path,
                rows=len(self.images),
                pixels=width * height,
                classes=described.num_classes,
                refused=self.contents.suppressed,
            )
        except ValueError:
            path.unlink()  # it must not be handed in
            raise
        return path


def _marks_of(mask: Path) -> Mapping[str, str]:
    try:
        with Image.open(mask) as picture:
            return {name: str(text) for name, text in picture.info.items() if name in MARKS}
    except OSError:  # not an image
        return {}


def _size_of(mask: Path) -> tuple[int, int]:
    """Return (width, height)."""
    with Image.open(mask) as picture:
        return picture.size


def _overlay(stored: np.ndarray, labels: np.ndarray, contents: Contents) -> bytes:
    """Return the image with the colours of its classes, as a PNG file; the ignored class has none."""
    picture = contents.pixels.pictures(stored[None])[0]
    colours = class_colours(contents.description)[labels]
    mixed = np.round(picture * (1 - OPACITY) + colours * OPACITY).astype(np.uint8)
    if contents.description.ignored_label is not None:
        mixed = np.where((labels == contents.description.ignored_label)[..., None], picture, mixed)
    stream = io.BytesIO()
    Image.fromarray(mixed).save(stream, "png")
    return stream.getvalue()
