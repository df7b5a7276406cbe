from __future__ import annotations

import numpy as np
import pytest

from trainables.augmentation.mixing import build_mixing
from trainables.augmentation.transforms import AugmentationConfig
from trainables.data import DataSource, prepare


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare(DataSource(uri="sample"), cache=tmp_path_factory.getbasetemp() / "cache")


def mixing(data, indices=None, **probabilities):
    indices = data.split["train"] if indices is None else indices
    return build_mixing(AugmentationConfig(**probabilities), data, indices)


def mixed(data, change, count=60):
    """(seed, image, mask, image after, mask after) of some images of the validation part."""
    for seed in range(count):
        index = data.split["val"][seed % len(data.split["val"])]
        image, mask = data.images[index], data.masks[index]
        yield seed, image, mask, *change(image, mask, seed)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_labels_come_along_with_their_pixels(dtype, data):
    """Images that equal their masks do so afterwards, whatever is shown."""

    class SeesLabels:
        rarest_label, holds, masks = data.rarest_label, staticmethod(data.holds), data.masks
        sizes, crop, whole = data.sizes, data.crop, data.whole
        images = data.masks if dtype == np.uint8 else data.masks / dtype(4)

    change = build_mixing(AugmentationConfig(cutmix=0.7), SeesLabels(), data.split["train"])
    for seed, index in enumerate(data.split["val"]):
        image, mask = change(SeesLabels.images[index], data.masks[index], seed)
        assert (image.dtype, mask.dtype) == (dtype, np.uint8)
        np.testing.assert_array_equal(image, mask if dtype == np.uint8 else mask / dtype(4))


def test_cutmix_shows_a_box_of_another_training_image_with_its_labels(data):
    change = mixing(data, cutmix=1.0)
    shares = []
    for seed, image, mask, after, after_mask in mixed(data, change, 100):
        rows, columns = np.nonzero((after != image) | (after_mask != mask))
        if not len(rows):
            shares.append(0.0)
            continue
        box = (slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1))
        shares.append(after[box].size / after.size)
        sources = [
            index
            for index in data.split["train"]
            if np.array_equal(data.images[index][box], after[box])
            and np.array_equal(data.masks[index][box], after_mask[box])
        ]
        assert sources, seed
    assert np.mean(shares) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("kind", ["cutmix", "copy_paste"])
def test_only_training_images_are_donors(kind, data):
    class Guarded:
        def __init__(self, array, allowed):
            self.array, self.allowed, self.shape = array, {int(index) for index in allowed}, array.shape

        def __getitem__(self, index):
            assert int(index) in self.allowed, "an image outside of the training part was used"
            return self.array[index]

    class Guarding:
        rarest_label, holds = data.rarest_label, staticmethod(data.holds)
        sizes, crop, whole = data.sizes, data.crop, data.whole
        images, masks = (Guarded(array, data.split["train"]) for array in (data.images, data.masks))

    change = build_mixing(AugmentationConfig(**{kind: 1.0}), Guarding(), data.split["train"])
    assert sum((after != image).any() for _, image, _, after, _ in mixed(data, change)) > 40


@pytest.mark.parametrize("kind", ["cutmix", "copy_paste"])
def test_the_probability_says_how_many_images_are_changed(kind, data):
    change = mixing(data, **{kind: 0.3})
    changed = np.mean([(after != image).any() for _, image, _, after, _ in mixed(data, change, 300)])
    assert changed == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize("kind", ["cutmix", "copy_paste"])
def test_the_seed_alone_decides_and_nothing_is_written_to(kind, data):
    first = [(after.copy(), labels.copy()) for *_, after, labels in mixed(data, mixing(data, **{kind: 1.0}))]
    again = [(after, labels) for *_, after, labels in mixed(data, mixing(data, **{kind: 1.0}))]
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert len({after.tobytes() for after, _ in first}) > 50  # memory maps are read-only: a write would have raised


def test_without_a_donor_nothing_is_pasted(data):
    train = data.split["train"]
    without = train[~data.holds(train, data.rarest_label)]
    for _, image, mask, after, after_mask in mixed(data, mixing(data, without, copy_paste=1.0), 10):
        np.testing.assert_array_equal(after, image)
        np.testing.assert_array_equal(after_mask, mask)


def test_nothing_to_do_is_none(data):
    assert mixing(data) is None
