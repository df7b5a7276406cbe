"""Every layout gives the pixels and labels that were written in it."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import pytest

from tests.made.layouts import LAYOUTS, npy, tiff, write_coco, write_files
from trainables.data.gathering.gather import gather
from trainables.data.gathering.survey import survey
from trainables.data.raw_data import RawData
from trainables.data.readers.choose import file_reader, folder_reader


def read(uri: str, folder: Path, **options: str | None) -> RawData:
    images, masks = options.get("images"), options.get("masks")
    if Path(uri).is_dir():
        reader = folder_reader(uri, images, masks)
    else:
        found = file_reader(uri, functools.partial(Path(uri).open, "rb"), images, masks)
        assert found is not None
        reader = found
    (folder / "arrays").mkdir()
    return gather(reader, survey(reader), folder / "arrays")


@pytest.fixture
def pairs() -> tuple[np.ndarray, np.ndarray]:
    """Grey images (10, 12, 16) and masks of the labels 0 to 3 and 255, unlabelled; all labels are in each mask."""
    rng = np.random.default_rng(3)
    masks = rng.integers(4, size=(10, 12, 16), dtype=np.uint8)
    masks[:, 0, :4], masks[:, -1] = np.arange(4), 255
    return rng.integers(256, size=(10, 12, 16), dtype=np.uint8), masks


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_same_pixels_and_labels(layout: str, pairs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    images, masks = pairs
    (tmp_path / "source").mkdir()
    raw = read(LAYOUTS[layout](tmp_path / "source", images, masks), tmp_path)
    order: list[int] | slice = slice(None)
    if layout == "ai4mars":  # labels of the test part come first
        order = [int(name.removesuffix(".png")[-3:]) for name in raw.names or ()]
        assert raw.parts == {f"msl/images/edr/NLB_{index:03}.png": "test" for index in (0, 5)}
    np.testing.assert_array_equal(raw.images, images[order])
    np.testing.assert_array_equal(raw.masks, np.searchsorted([0, 1, 2, 3, 255], masks)[order])
    # Of COCO's categories none is ignored.
    assert raw.description.ignored_label == (None if layout == "coco" else 4)
    assert raw.description.num_classes == 5


@pytest.mark.parametrize("channels", [3, 4, 13])
def test_many_channels(channels: int, pairs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    _, masks = pairs
    images = np.random.default_rng(0).integers(256, size=(10, 12, 16, channels), dtype=np.uint8)
    raw = read(write_files(tmp_path / "source", images, masks, tiff if channels > 4 else npy), tmp_path)
    np.testing.assert_array_equal(raw.images, images)
    assert raw.pixels.channels == channels
    stored = raw.images.reshape(-1, channels) / 255
    assert raw.pixels.mean == pytest.approx(stored.mean(axis=0))
    assert raw.pixels.std == pytest.approx(stored.std(axis=0))


def test_16_bits_are_scaled_by_their_range(pairs: tuple[np.ndarray, np.ndarray], tmp_path: Path) -> None:
    images = pairs[0].astype(np.uint16) * 16 + 100
    raw = read(write_files(tmp_path / "source", images, pairs[1], tiff), tmp_path)
    assert (raw.images.dtype, raw.images.min(), raw.images.max()) == (np.float32, 0, 1)
    low, high = images.min(), images.max()
    np.testing.assert_allclose(raw.images, (images - low) / (high - low), atol=1e-6)
    assert (raw.pixels.low, raw.pixels.high) == ((low,), (high,))


@pytest.mark.parametrize(("ids", "values"), [((7, 90), (0, 7, 90)), ((0, 90), (0, 1, 2)), ((7, 70_000), (0, 1, 2))])
def test_categories_of_coco_have_their_ids_as_values_where_these_can_be_values(ids, values, tmp_path):
    images, masks = np.zeros((1, 4, 6), np.uint8), np.array([[[0] * 6, [1] * 6, [2] * 6, [2] * 6]], np.uint8)
    path = Path(write_coco(tmp_path, images, masks)) / "annotations.json"
    content = json.loads(path.read_text())
    for entries, key in ((content["categories"], "id"), (content["annotations"], "category_id")):
        for entry in entries:
            entry[key] = ids[entry[key] - 1]
    path.write_text(json.dumps(content))
    reader = folder_reader(str(tmp_path), None, None)
    assert [declared.value for declared in reader.declared or ()] == list(values)
    np.testing.assert_array_equal(next(reader.pairs()).mask, np.array(values)[masks[0]])
    (tmp_path / "arrays").mkdir()
    raw = gather(reader, survey(reader), tmp_path / "arrays", ignored=values[1])
    assert raw.description.scored_labels == (0, 2)
