"""Which images come in which batch, counted over images that show their own number."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch

from tests.made.numbered import HandMade
from trainables.data.batches import Batches, prefetch
from trainables.data.pixel_format import plain_format

CPU = torch.device("cpu")
IMAGES = 49
RARE = {3, 10, 17}


@pytest.fixture(scope="module")
def numbered() -> HandMade:
    """49 images and one that is never asked for; three of them hold the rarest class."""
    return HandMade([[[1 if number in RARE else 2]] for number in range(IMAGES + 1)])


def batches(data, batch_size=8, indices=None, **arguments) -> Batches:
    indices = np.arange(IMAGES) if indices is None else indices
    return Batches(data, indices, batch_size=batch_size, device=CPU, **arguments)


def numbers(drawn) -> list[list[int]]:
    return [images.flatten().int().tolist() for images, _ in drawn]


def flat(lists) -> list[int]:
    return [number for numbers in lists for number in numbers]


@pytest.mark.parametrize(
    ("batch_size", "steps"), [(1, 49), (7, 7), (8, 6), (24, 2), (25, 1), (48, 1), (49, 1), (50, 1)]
)
def test_an_epoch_has_full_batches_only_and_no_image_twice(batch_size, steps, numbered):
    made = batches(numbered, batch_size)
    drawn = numbers(made.shuffled(0, 1))
    assert made.steps == steps
    assert [len(batch) for batch in drawn] == [min(batch_size, 49)] * steps
    assert len(set(flat(drawn))) == len(flat(drawn))
    assert set(flat(drawn)) <= set(range(IMAGES))


def test_the_image_that_is_left_out_is_another_one_in_each_epoch(numbered):
    left_out = [set(range(IMAGES)) - set(flat(numbers(batches(numbered).shuffled(0, epoch)))) for epoch in range(1, 20)]
    assert {len(numbers) for numbers in left_out} == {1}
    assert len(set.union(*left_out)) > 10


def test_the_order_depends_on_seed_and_epoch(numbered):
    orders = {}
    for seed, epoch in ((0, 1), (1, 0), (1, 1), (0, 2), (0, 1)):
        order = tuple(flat(numbers(batches(numbered).shuffled(seed, epoch))))
        assert orders.setdefault((seed, epoch), order) == order
    assert len(set(orders.values())) == 4


def test_masks_come_with_their_images(numbered):
    for images, masks in batches(numbered).shuffled(0, 1):
        assert masks.flatten().tolist() == [1 if number in RARE else 2 for number in images.flatten().int().tolist()]
    (images, masks), *_ = batches(numbered).in_order()
    assert masks.flatten().tolist() == [2, 2, 2, 1, 2, 2, 2, 2]


@pytest.mark.parametrize("oversampling", [1, 2, 5])
def test_an_oversampled_image_comes_up_to_so_many_times_in_an_epoch(oversampling, numbered):
    made = batches(numbered, oversampling=oversampling)
    most = np.zeros(IMAGES, dtype=int)
    total = 0
    for epoch in range(60):
        drawn = flat(numbers(made.shuffled(0, epoch)))
        assert len(drawn) == 48
        counts = np.bincount(drawn, minlength=IMAGES)
        most = np.maximum(most, counts)
        total += counts[list(RARE)].sum()
    assert most.tolist() == [oversampling if number in RARE else 1 for number in range(IMAGES)]
    # 48 of 46 + 3 * oversampling places, of which 3 * oversampling show a rare image
    expected = 60 * 48 * 3 * oversampling / (46 + 3 * oversampling)
    assert total == pytest.approx(expected, rel=0.1)


def test_each_rank_has_every_so_manyth_image_of_each_batch(numbered):
    whole = numbers(batches(numbered).shuffled(0, 1))
    for rank in range(3):
        assert numbers(batches(numbered, rank=rank, world=3).shuffled(0, 1)) == [batch[rank::3] for batch in whole]


def test_in_order_has_each_image_of_the_rank_once_the_rest_as_a_smaller_batch(numbered):
    assert numbers(batches(numbered, 20).in_order()) == [
        list(range(20)),
        list(range(20, 40)),
        list(range(40, 49)),
    ]
    odd = list(range(1, 49, 2))
    assert numbers(batches(numbered, 20, rank=1, world=2).in_order()) == [odd[:20], odd[20:]]
    assert numbers(batches(numbered, 20, np.array([7, 5, 49])).in_order()) == [[7, 5, 49]]


def test_a_batch_may_have_one_image_for_each_rank_but_not_less(numbered):
    assert len(next(batches(numbered, 3, world=3).shuffled(0, 1))[0]) == 1
    with pytest.raises(ValueError, match="a batch of 2 images cannot be split among 3 workers"):
        next(batches(numbered, 8, np.arange(2), world=3).shuffled(0, 1))


def test_ranks_beyond_the_number_of_images_have_none_in_order(numbered):
    assert [numbers(batches(numbered, 8, np.arange(2), rank=rank, world=3).in_order()) for rank in range(3)] == [
        [[0]],
        [[1]],
        [],
    ]
    assert numbers(batches(numbered, 8, np.arange(0)).in_order()) == []


def test_changes_follow_one_another_with_a_seed_of_the_images_own(numbered):
    seen = []

    def double(image, mask, seed):
        seen.append((int(image[0, 0]), seed))
        return image * 2.0, mask + 4

    def add_one(image, mask, seed):
        seen.append((int(image[0, 0]), seed))
        return image + 1.0, mask * 2

    plain = list(batches(numbered).shuffled(0, 1))
    changed = list(batches(numbered).shuffled(0, 1, [double, add_one]))
    for (images, masks), (after, after_masks) in zip(plain, changed, strict=True):
        assert torch.equal(after, images * 2 + 1)
        assert torch.equal(after_masks, (masks + 4) * 2)
    first, second = seen[::2], seen[1::2]
    assert [number for number, _ in second] == [2 * number for number, _ in first]
    assert [seed for _, seed in second] == [seed for _, seed in first]
    assert len({seed for _, seed in first}) == 48
    drawn = [seed for _, seed in first]
    assert 0 <= min(drawn) < 2**30 < max(drawn) < 2**31
    assert {type(seed) for seed in drawn} == {int}

    before, seen[:] = list(first), []
    list(batches(numbered).shuffled(0, 2, [double]))
    assert not {seed for _, seed in before} & {seed for _, seed in seen}
    seen[:] = []
    for rank in range(2):
        list(batches(numbered, rank=rank, world=2).shuffled(0, 1, [double]))
    assert sorted(seen) == sorted(before)


def test_stored_pixels_are_scaled_to_floats_with_a_channel():
    stored = np.array([[[0, 51, 255]]], dtype=np.uint8)
    images = plain_format(stored.dtype).to_device(stored, CPU)
    assert (images.shape, images.dtype) == ((1, 1, 1, 3), torch.float32)
    torch.testing.assert_close(images.flatten(), torch.tensor([0.0, 0.2, 1.0]))
    assert stored.tolist() == [[[0, 51, 255]]]


def test_batches_have_the_types_that_models_and_losses_take():
    data = HandMade([[[1, 2]]] * 2, [[[0, 255]]] * 2)
    data.pixels = plain_format(np.dtype(np.uint8))
    for drawn in (batches(data, 2, np.arange(2)).shuffled(0, 1), batches(data, 2, np.arange(2)).in_order()):
        ((images, masks),) = drawn
        assert (images.shape, images.dtype) == ((2, 1, 1, 2), torch.float32)
        assert images[0].flatten().tolist() == [0.0, 1.0]
        assert (masks.shape, masks.dtype) == ((2, 1, 2), torch.int64)


def test_ahead_makes_the_next_one_while_this_one_is_used():
    taken: list[int] = []
    made = [threading.Event() for _ in range(4)]

    def items():
        for item in range(4):
            taken.append(item)
            yield item

    def make(item: int) -> int:
        assert threading.current_thread().name.startswith("batches")
        made[item].set()
        return item

    for result in prefetch(make, items()):
        following = min(result + 1, 3)
        assert made[following].wait(60)
        assert taken == list(range(following + 1))  # one, and no more: each takes memory
