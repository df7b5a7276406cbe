"""Masks that a report writes are read as those of the data set were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from reports.predicted_masks import file_names, write_masks
from trainables.data import DataDescription
from trainables.data.readers.classes import packed
from trainables.data.readers.image_files import read_mask

LABELS = np.random.default_rng(0).integers(3, size=(5, 7, 9)).astype(np.uint8)


@pytest.mark.parametrize(
    ("values", "colours"),
    [(None, False), ((0, 128, 255), False), ((1, 300, 7), False), ((0x0000FF, 0xFF8000, 0x010203), True)],
)
def test_the_values_of_the_source_come_back(values: tuple[int, ...] | None, colours: bool, tmp_path: Path) -> None:
    description = DataDescription(class_names=("a", "b", "c"), ignored_label=None, values=values, colour_masks=colours)
    counts = write_masks(tmp_path / "masks", [f"test/{i}.jpg" for i in range(5)], [LABELS[:3], LABELS[3:]], description)
    assert counts.tolist() == np.bincount(LABELS.ravel()).tolist()
    for index, labels in enumerate(LABELS):
        mask = read_mask((tmp_path / "masks" / f"{index}.png").read_bytes(), f"{index}.png")
        np.testing.assert_array_equal(packed(mask), np.array(description.mask_values)[labels])


def test_names_of_files() -> None:
    assert file_names(["a/x.png", "b/y z.tif", "test_images[3]"]) == ["x.png", "y_z.png", "test_images_3.png"]
    assert file_names(["a/x.png", "b/x.png", "c.png"]) == ["a_x.png", "b_x.png", "c.png"]
    assert file_names(["a/x.png", "a_x.jpg", "b/x.png"]) == ["000000_a_x.png", "000001_a_x.png", "b_x.png"]


def test_names_of_files_fit_into_a_folder(tmp_path: Path) -> None:
    """File systems take 255 bytes, and a file that is being written has 33 more."""
    names = [f"{'n' * 251}.png", f"{'é' * 125}.png", f"a/{'d' * 200}/x.png", f"b/{'d' * 200}/x.png", "???.png"]
    found = file_names(names)
    assert found[0] == f"{'n' * 200}.png"
    assert found[-1] == "image.png"
    assert len(set(found)) == len(names)
    description = DataDescription(class_names=("a", "b", "c"), ignored_label=None)
    write_masks(tmp_path / "masks", names, [LABELS], description)
    assert {path.name for path in (tmp_path / "masks").iterdir()} == set(found)
