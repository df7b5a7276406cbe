from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.made.numbered import HandMade
from trainables.augmentation.transforms import AugmentationConfig, build_augmentation
from trainables.data.batches import Batches, prefetch

CPU = torch.device("cpu")


def batches(data, **changes):
    arguments = {"batch_size": 8, "device": CPU} | changes
    return Batches(data, data.split["train"], **arguments)


def test_shapes_types_and_ranges(tiny):
    images, masks = next(batches(tiny).shuffled(seed=0, epoch=1))
    assert (images.shape, images.dtype) == ((8, 1, 16, 24), torch.float32)
    assert (masks.shape, masks.dtype) == ((8, 16, 24), torch.int64)
    assert 0 <= images.min() <= images.max() <= 1
    assert images.max() > 0.5


def test_an_epoch_has_its_own_order_and_no_image_twice(tiny):
    def pixels(epoch):
        return torch.cat([images for images, _ in batches(tiny).shuffled(seed=0, epoch=epoch)]).flatten(1).numpy()

    first = pixels(1)
    assert len(first) == len(tiny.split["train"]) // 8 * 8
    assert len(np.unique(first, axis=0)) == len(first)
    assert (pixels(1) == first).all()
    assert not (pixels(2) == first).all()


def test_ranks_share_each_batch_between_them(tiny):
    """Also the augmented images: an image's augmentation does not depend on the rank."""
    augmentation = build_augmentation(AugmentationConfig(name="flips+crop"), size=(16, 24))
    whole = list(batches(tiny).shuffled(0, 1, [augmentation]))
    halves = [list(batches(tiny, rank=rank, world=2).shuffled(0, 1, [augmentation])) for rank in range(2)]
    for (images, masks), *parts in zip(whole, *halves, strict=True):
        for rank, (part_images, part_masks) in enumerate(parts):
            assert torch.equal(images[rank::2], part_images)
            assert torch.equal(masks[rank::2], part_masks)


def rare_share(data, train, oversampling, epochs=40):
    """Part of the drawn images that hold the rarest class, and batches an epoch."""
    made = Batches(data, train, batch_size=8, device=CPU, oversampling=oversampling)
    drawn = [masks for epoch in range(epochs) for _, masks in made.shuffled(0, epoch)]
    rare = torch.cat(drawn).eq(data.rarest_label).flatten(1).any(1).float().mean().item()
    return rare, len(drawn) / epochs


def test_oversampled_images_come_as_often_as_asked_in_as_many_batches():
    train = np.arange(20, 480)
    data = HandMade(np.arange(500)[:, None, None] % 9 == 0)
    rare = data.holds(train, data.rarest_label).mean()
    plain, steps = rare_share(data, train, 1)
    assert plain == pytest.approx(rare, abs=0.01)
    often, as_many = rare_share(data, train, 4)
    assert often == pytest.approx(4 * rare / (1 + 3 * rare), abs=0.03)
    assert steps == as_many == len(train) // 8


def test_an_image_that_comes_twice_is_augmented_differently():
    augmentation = build_augmentation(AugmentationConfig(name="flips+crop"), size=(16, 24))
    masks = np.full((32, 16, 24), 2)
    masks[5, 4:12, 6:18] = 1
    data = HandMade(masks, np.random.default_rng(0).integers(0, 256, masks.shape, dtype=np.uint8))
    alone = Batches(data, np.arange(32), batch_size=32, device=CPU, oversampling=40)
    images, masks = next(alone.shuffled(0, 1, [augmentation]))
    held = images[masks.eq(data.rarest_label).flatten(1).any(1)].flatten(1).numpy()
    assert len(held) > 10
    assert len(np.unique(held, axis=0)) > 0.6 * len(held)


def test_in_order_gives_every_image_once(tiny):
    images = torch.cat([images for images, _ in batches(tiny).in_order()])
    assert np.array_equal((images[:, 0] * 255).round().byte().numpy(), tiny.images[tiny.split["train"]])


def test_fewer_images_than_a_batch_make_one_small_batch(tiny):
    assert len(next(batches(tiny, batch_size=999).shuffled(0, 1))[0]) == len(tiny.split["train"])


def test_a_batch_that_cannot_be_shared_is_refused(tiny):
    with pytest.raises(ValueError, match="a batch of 2 images cannot be split among 3 workers"):
        next(batches(tiny, batch_size=2, world=3).shuffled(0, 1))


def test_ahead_keeps_the_order_and_passes_errors_on():
    assert list(prefetch(lambda x: x * x, range(5))) == [0, 1, 4, 9, 16]
    assert list(prefetch(str, [])) == []
    with pytest.raises(ZeroDivisionError):
        list(prefetch(lambda x: 1 // x, [1, 0]))
