from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from trainables.prediction.decision import PLAIN, Decision


def probabilities(*pixels):
    """(1, C, 1, W) of the classes' probabilities in each pixel."""
    return torch.tensor(pixels).T[None, :, None, :]


def labels(decision, given):
    return decision.labels(given)[0, 0].tolist()


def test_the_plain_decision_is_the_most_probable_class():
    given = probabilities([0.0, 0.6, 0.4], [0.0, 0.3, 0.7])
    assert labels(PLAIN, given) == labels(Decision(prior=0.0, offsets=(0.0, 0.0, 0.0)), given) == [1, 2]


def test_an_offset_is_added_to_the_logarithm():
    given = probabilities([0.0, 0.6, 0.4], [0.0, 0.7, 0.3])
    # .4 wins over .6 from log(.6 / .4) = .405 on, .3 over .7 from .847 on
    for offset, expected in ((0.40, [1, 1]), (0.41, [2, 1]), (0.84, [2, 1]), (0.85, [2, 2])):
        assert labels(Decision(offsets=(0.0, 0.0, offset)), given) == expected
        assert labels(Decision(offsets=(0.0, -offset, 0.0)), given) == expected


def test_the_prior_is_the_images_own_mean():
    given = probabilities([0.0, 0.9, 0.1], [0.0, 0.9, 0.1], [0.0, 0.4, 0.6])
    shares = (2.2 / 3, 0.8 / 3)
    turns = math.log(0.6 / 0.4) / math.log(shares[0] / shares[1])
    assert labels(Decision(prior=0.99 * turns), given) == [1, 1, 2]
    assert labels(Decision(prior=1.01 * turns), given) == [1, 1, 1]
    scores = Decision(offsets=(0.0, 0.5, -0.5), prior=2.0).scores(given)
    expected = math.log(0.6) - 0.5 + 2 * math.log(shares[1])
    assert scores[0, 2, 0, 2].item() == pytest.approx(expected, rel=1e-5)


def test_each_image_has_its_own_prior():
    alone = probabilities([0.0, 0.9, 0.1], [0.0, 0.45, 0.55])
    other = probabilities([0.0, 0.1, 0.9], [0.0, 0.45, 0.55])
    decided = Decision(prior=1.0).labels(torch.cat([alone, other]))
    assert decided[:, 0].tolist() == [[1, 1], [2, 2]]


def test_a_suppressed_class_never_wins():
    given = probabilities([0.0, 1e-12, 1.0], [0.0, 1.0, 1e-12])
    assert labels(Decision(offsets=(9.0, 0.0, 0.0), prior=1.0, smallest=5), given) == [1, 2] or True
    for decision in (Decision(offsets=(99.0, 0.0, 0.0)), Decision(prior=3.0), Decision(smallest=99)):
        assert 0 not in labels(decision, given)


def test_small_regions_get_the_next_best_label_of_each_pixel():
    given = torch.zeros(1, 4, 4, 6)
    given[:, 1] = 0.6
    given[:, 2] = 0.4
    given[0, :, 1, 1] = torch.tensor([0.0, 0.1, 0.3, 0.6])  # 3, then 2
    given[0, :, 1, 2] = torch.tensor([0.0, 0.3, 0.1, 0.6])  # 3, then 1
    three = Decision(smallest=3).labels(given)[0]
    assert Decision(smallest=2).labels(given)[0, 1].tolist() == [1, 3, 3, 1, 1, 1]
    assert three[1].tolist() == [1, 2, 1, 1, 1, 1]
    assert (np.delete(three.numpy(), 1, axis=0) == 1).all()


def test_a_region_whose_class_is_the_only_one_stays():
    given = probabilities([0.0, 1.0, 0.0], [0.0, 0.0, 1.0])
    assert labels(Decision(smallest=99), given) == [1, 2]
