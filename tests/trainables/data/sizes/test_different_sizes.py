"""Images of different sizes: prepared as they are, trained on in crops, evaluated in tiles."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.made.layouts import png, write_files
from trainables.data import DataSource, PreparedData, prepare
from trainables.data.batches import NOT_COUNTED, Batches
from trainables.data.sizes.images import ImageList

SIZES = [(40, 60), (24, 24), (33, 70), (50, 20), (16, 16), (64, 48), (40, 60), (30, 30), (45, 45), (70, 33), (24, 90)]
CPU = torch.device("cpu")


def scene(size: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return an image whose red channel shows the label of each pixel, and its mask, with a few pixels of class 2."""
    rng = np.random.default_rng(seed)
    mask = (np.arange(size[1])[None] > rng.integers(size[1])).astype(np.uint8).repeat(size[0], 0)
    if seed % 2:
        row, column = (int(rng.integers(length - 2)) for length in size)
        mask[row : row + 2, column : column + 2] = 2
    image = rng.integers(256, size=(*size, 3), dtype=np.uint8)
    image[..., 0] = mask
    return image, mask


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("sizes")
    scenes = [scene(size, seed) for seed, size in enumerate(SIZES)]
    write_files(root, [image for image, _ in scenes], [mask for _, mask in scenes])
    (root / "test" / "images").mkdir(parents=True)
    for name, size in (("a", (20, 30)), ("b", (90, 41))):
        (root / "test" / "images" / f"{name}.png").write_bytes(png(scene(size, 0)[0]))
    return root


@pytest.fixture
def data(folder: Path) -> PreparedData:
    return prepare(DataSource(uri=str(folder), crop=(32, 32), keep_outliers=True))


def test_every_image_is_stored_as_it_is(data):
    assert isinstance(data.images, ImageList)
    assert len(data.images) == len(data.masks) == len(SIZES)
    for index, size in enumerate(SIZES):
        image, mask = scene(size, index)
        np.testing.assert_array_equal(data.images[index], image)
        np.testing.assert_array_equal(data.masks[index], mask)
    assert data.sizes.tolist() == [list(size) for size in SIZES]
    assert data.unlabelled is not None
    assert [image.shape for image in data.unlabelled] == [(20, 30, 3), (90, 41, 3)]
    counts = sum(np.bincount(scene(size, index)[1].ravel(), minlength=3) for index, size in enumerate(SIZES))
    assert data.pixel_counts(np.arange(len(SIZES))).tolist() == counts.tolist()


def test_other_processes_map_the_same_files(data):
    other = pickle.loads(pickle.dumps(data))
    np.testing.assert_array_equal(other.images[3], data.images[3])
    assert other.crop == (32, 32)


def test_the_crop_is_no_part_of_the_prepared_data(data, folder):
    other = prepare(DataSource(uri=str(folder), keep_outliers=True))
    assert (other.folder, other.fingerprint) == (data.folder, data.fingerprint)
    assert other.crop == (32, 32)  # of medians of 40 and 48, in multiples of 32


def test_the_report_tells_sizes_and_crops(data):
    assert "11 labelled images of 16x16 to 70x90 pixels, 3 channels (" in data.report.summary()
    assert "trained on crops of 32x32 (the size that was chosen for the study)" in data.report.summary()


def test_dropped_images_take_their_sizes_along(folder):
    data = prepare(DataSource(uri=str(folder), drop_list=(2,), keep_outliers=True))
    np.testing.assert_array_equal(data.images[2], scene(SIZES[3], 3)[0])
    np.testing.assert_array_equal(data.masks[9], scene(SIZES[10], 10)[1])


def batches(data: PreparedData, **arguments) -> Batches:
    return Batches(data, np.arange(len(SIZES)), **({"batch_size": 4, "device": CPU} | arguments))


def test_training_batches_are_crops_whose_labels_stay_with_their_pixels(data):
    found = list(batches(data).shuffled(0, 1))
    crops = int(np.maximum(1, np.rint(data.sizes.prod(1) / 32**2)).sum())
    assert len(found) == crops // 4 == batches(data).steps
    for images, masks in found:
        assert images.shape == (4, 3, 32, 32)
        red = images[:, 0] * data.pixels.std[0] + data.pixels.mean[0]
        np.testing.assert_allclose(red * 255, masks, atol=1e-3)


def test_an_epoch_is_a_function_of_seed_and_number_alone(data):
    first, again, other = (torch.cat([images for images, _ in batches(data).shuffled(0, epoch)]) for epoch in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_ranks_share_the_crops_of_a_batch(data):
    whole = list(batches(data).shuffled(3, 2))
    parts = [list(batches(data, rank=rank, world=2).shuffled(3, 2)) for rank in (0, 1)]
    for step, (images, masks) in enumerate(whole):
        for rank in (0, 1):
            assert torch.equal(parts[rank][step][0], images[rank::2])
            assert torch.equal(parts[rank][step][1], masks[rank::2])


def share_of_rare(data: PreparedData, **arguments) -> float:
    held = [(mask == 2).any().item() for _, masks in batches(data, **arguments).shuffled(0, 1) for mask in masks]
    return sum(held) / len(held)


def test_rare_classes_are_sampled_by_crops_that_hold_them(data):
    assert data.rarest_label == 2
    assert share_of_rare(data) < 0.3
    assert share_of_rare(data, rare_share=0.5) >= 0.5
    for _, masks in batches(data, rare_share=0.5).shuffled(1, 1):
        assert (masks == 2).flatten(1).any(1).sum() >= 2
    # Five of the images hold it; three of their four draws are aimed at it.
    assert share_of_rare(data, oversampling=4) > 0.45


def test_the_pixels_that_are_drawn_are_counted_in_crops(data):
    plain = batches(data).drawn_pixels()
    assert plain.tolist() == data.pixel_counts(np.arange(len(SIZES))).tolist()
    aimed = batches(data, rare_share=0.5)
    drawn = sum(
        np.bincount(masks.numpy().ravel(), minlength=3) for epoch in range(12) for _, masks in aimed.shuffled(9, epoch)
    )
    estimated = aimed.drawn_pixels()
    np.testing.assert_allclose(estimated / estimated.sum(), drawn / drawn.sum(), rtol=0.25)
    assert estimated[2] / estimated.sum() > 2 * plain[2] / plain.sum()


def test_tiles_count_every_labelled_pixel_once(data):
    total = np.zeros(3, np.int64)
    for images, masks in batches(data).in_order():
        assert images.shape[1:] == (3, 32, 32)
        counted = masks != NOT_COUNTED
        red = (images[:, 0] * data.pixels.std[0] + data.pixels.mean[0]) * 255
        np.testing.assert_allclose(red[counted], masks[counted], atol=1e-3)
        total += np.bincount(masks[counted].numpy(), minlength=3)
    assert total.tolist() == data.pixel_counts(np.arange(len(SIZES))).tolist()
    shared = [batches(data, rank=rank, world=3).in_order() for rank in range(3)]
    assert sum(len(images) for part in shared for images, _ in part) == sum(
        -(-height // 32) * -(-width // 32) for height, width in SIZES
    )


def mosaic(windows: np.ndarray, columns: int) -> np.ndarray:
    """Put windows (N, h, w) side by side, row by row."""
    count, height, width = windows.shape
    rows = windows.reshape(count // columns, columns, height, width)
    return rows.transpose(0, 2, 1, 3).reshape(count // columns * height, columns * width)


def test_mosaics_of_windows_are_cut_into_these_windows_again(tmp_path):
    windows = np.random.default_rng(0).integers(1, 5, (8 * 8 * 10, 64, 128)).astype(np.uint8)
    pictures = 40 * windows + np.random.default_rng(1).integers(40, size=windows.shape).astype(np.uint8)
    images, masks = ([mosaic(part, 8) for part in np.split(array, 10)] for array in (pictures, windows))
    assert masks[0].shape == (512, 1024)
    data = prepare(DataSource(uri=write_files(tmp_path / "m", images, masks), crop=(64, 128)), cache=tmp_path / "c")
    tiles = Batches(data, np.arange(10), batch_size=64, device=CPU).in_order()
    found = [(images, masks) for images, masks in tiles]
    pixels = torch.cat([images for images, _ in found])[:, 0] * data.pixels.std[0] + data.pixels.mean[0]
    np.testing.assert_array_equal(np.rint(255 * pixels.numpy()), pictures)
    labels = torch.cat([masks for _, masks in found]).numpy()
    np.testing.assert_array_equal(np.array(data.description.mask_values)[labels], windows)
