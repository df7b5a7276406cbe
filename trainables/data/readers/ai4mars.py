"""Reads the release layout of AI4Mars (Swan et al. 2021): `images/edr/*.JPG` and `labels/train/*.png`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePosixPath

from trainables.data.readers.classes import DeclaredClass
from trainables.data.readers.image_folder import read_pair
from trainables.data.readers.place import Place
from trainables.data.readers.reader import Pair, Unlabelled

IMAGES = "images/edr"
TRAIN = "labels/train"
TEST = "labels/test/masked-gold-min3-100agree"
"""The test labels on which three experts agree; the release has others for fewer."""
MERGED = "_merged"
CLASSES = ("soil", "bedrock", "sand", "big rock")
UNLABELLED = 255


class AI4Mars:
    """Reads one rover's folder of AI4Mars. Pixels of 255 are unlabelled. The release's test labels are the test part.

    Args:
        uri: path or URI of the folder that holds `images` and `labels`, or of one above it.
    """

    def __init__(self, uri: str):
        self._place = Place(uri)

    @staticmethod
    def fits(place: Place) -> bool:
        """Return whether a folder has this layout."""
        return any(f"/{IMAGES}/" in f"/{path}" for path in place.files) and any(
            f"/{TRAIN}/" in f"/{path}" for path in place.files
        )

    @property
    def uri(self) -> str:
        return self._place.uri

    @property
    def version(self) -> str:
        return self._place.version(sorted(path for pair in self._paired for path in pair))

    @property
    def declared(self) -> tuple[DeclaredClass, ...]:
        scored = [DeclaredClass(name=name, value=value) for value, name in enumerate(CLASSES)]
        return (*scored, DeclaredClass(name="unlabelled", value=UNLABELLED, ignored=True))

    def pairs(self) -> Iterator[Pair]:
        for image, mask in self._paired:
            yield read_pair(self._place, image, mask)

    def unlabelled(self) -> Iterator[Unlabelled]:
        return iter(())

    def parts(self) -> dict[str, str] | None:
        test = {image: "test" for image, mask in self._paired if f"/{TEST}/" in f"/{mask}"}
        if not test:
            return None
        return test

    def groups(self) -> dict[str, str | None] | None:
        return None

    @cached_property
    def _paired(self) -> list[tuple[str, str]]:
        """Paths of each labelled image and its mask. Images without labels, most of the release, are left out."""
        images = {PurePosixPath(path).stem: path for path in self._place.files if f"/{IMAGES}/" in f"/{path}"}
        found = []
        for path in self._place.files:
            if f"/{TRAIN}/" in f"/{path}" or f"/{TEST}/" in f"/{path}":
                stem = PurePosixPath(path).stem.removesuffix(MERGED)
                if stem not in images:
                    raise ValueError(f"{self.uri}/{path}: no image {stem} in {IMAGES}")
                found.append((images[stem], path))
        return found
