"""How often training draws the rarest class, and how many of its pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.made.numbered import HandMade
from trainables.data.batches import Batches

CPU = torch.device("cpu")
IMAGES = 47
RARE = (3, 10, 17)


@pytest.fixture(scope="module")
def numbered() -> HandMade:
    """47 images full of their number; three of them hold the rarest class, in one of two pixels."""
    return HandMade([[[1 if number in RARE else 2, 2]] for number in range(IMAGES)])


def batches(data, batch_size=8, **arguments) -> Batches:
    return Batches(data, np.arange(IMAGES), batch_size=batch_size, device=CPU, **arguments)


def numbers(made, epochs=1, seed=0) -> np.ndarray:
    """(epochs * steps, batch size) numbers of the drawn images."""
    drawn = [images[:, 0, 0, 0] for epoch in range(epochs) for images, _ in made.shuffled(seed, epoch)]
    return torch.stack(drawn).int().numpy()


def rare_in(drawn) -> np.ndarray:
    return np.isin(drawn, RARE).sum(axis=1)


@pytest.mark.parametrize(("share", "least"), [(0.125, 1), (0.13, 2), (0.25, 2), (0.5, 4), (0.99, 8)])
def test_each_batch_holds_its_share_of_rare_images(share, least, numbered):
    made = batches(numbered, rare_share=share)
    drawn = numbers(made, epochs=20)
    assert made.steps == 5
    assert drawn.shape == (100, 8)
    assert rare_in(drawn).min() == least
    natural = rare_in(numbers(batches(numbered), epochs=20))
    assert rare_in(drawn).sum() == np.maximum(natural, least).sum()  # nothing is added to what has enough


def test_rare_images_come_in_turns_and_others_not_twice(numbered):
    drawn = numbers(batches(numbered, rare_share=0.5), epochs=1).ravel()
    counts = np.bincount(drawn, minlength=IMAGES)
    assert counts[list(RARE)].max() - counts[list(RARE)].min() <= 2
    assert np.delete(counts, RARE).max() == 1


def test_the_order_is_still_one_of_seed_and_epoch_and_shared_by_ranks(numbered):
    whole = numbers(batches(numbered, rare_share=0.25), epochs=2, seed=5)
    np.testing.assert_array_equal(numbers(batches(numbered, rare_share=0.25), epochs=2, seed=5), whole)
    assert not np.array_equal(whole[:5], whole[5:])
    for rank in range(2):
        part = numbers(batches(numbered, rare_share=0.25, rank=rank, world=2), epochs=2, seed=5)
        np.testing.assert_array_equal(part, whole[:, rank::2])


def test_without_a_rare_image_a_share_of_them_changes_nothing():
    data = HandMade([[[2, 2]]] * IMAGES)
    np.testing.assert_array_equal(numbers(batches(data, rare_share=0.5)), numbers(batches(data)))


def test_the_pixels_drawn_are_the_images_own_where_nothing_is_drawn_more_often(numbered):
    assert batches(numbered).drawn_pixels().tolist() == [0, 3, 2 * IMAGES - 3, 0]


@pytest.mark.parametrize(
    ("arguments", "rare"),
    [
        ({"oversampling": 4}, 47 * 12 / (44 + 12)),
        ({"rare_share": 0.5}, 47 / 2),  # hardly ever does a batch hold more by itself
        ({"oversampling": 2, "rare_share": 0.75}, 47 * 3 / 4),
    ],
)
def test_the_pixels_drawn_are_those_of_an_epochs_order(arguments, rare, numbered):
    made = batches(numbered, **arguments)
    unlabelled, found, common, absent = made.drawn_pixels()
    assert (unlabelled, absent) == (0, 0)
    assert found == pytest.approx(rare, rel=0.1)
    assert found + common == pytest.approx(2 * IMAGES)
    # as an independent count of what training draws
    assert found == pytest.approx(np.isin(numbers(made, epochs=40), RARE).mean() * IMAGES, rel=0.1)


def test_what_mixing_brings_counts_as_well(numbered):
    def every_second(image, mask, seed):
        if seed % 2:
            return image, mask
        changed = mask.copy()
        changed[0, 1] = 1
        return image, changed

    unlabelled, found, common, absent = batches(numbered).drawn_pixels([every_second])
    assert (unlabelled, absent) == (0, 0)
    assert found == pytest.approx(3 + IMAGES / 2)
    assert common == pytest.approx(2 * IMAGES - 3 - IMAGES / 2)


def test_a_class_that_mixing_covers_keeps_half_of_its_pixels(numbered):
    def cover(image, mask, seed):
        return image, np.full_like(mask, 3)

    assert batches(numbered).drawn_pixels([cover]).tolist() == [0, 1.5, IMAGES - 1.5, 2 * IMAGES]
