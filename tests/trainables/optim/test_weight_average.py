from __future__ import annotations

import pytest
import torch
from torch import nn

from trainables.optim.weight_average import WeightAverage


def averaged(weights, decay):
    """The average after each of a model's weights, which it has one after the other."""
    model = nn.BatchNorm1d(1)
    average, found = WeightAverage(model, decay), []
    for value in weights:
        nn.init.constant_(model.weight, value)
        model.running_mean.fill_(2 * value)
        average.update_parameters(model)
        found.append(average.module.weight.item())
        assert float(average.module.running_mean) == pytest.approx(2 * found[-1])
    return found


def test_the_decay_warms_up_to_its_bound():
    # The first weights as they are; then decays of 2/11, 3/12 and, bounded, 0.3 each.
    second = 2 / 11 * 1.0 + 9 / 11 * 2.0
    third = 3 / 12 * second + 9 / 12 * 4.0
    fourth = 0.3 * third + 0.7 * 0.0
    fifth = 0.3 * fourth + 0.7 * 1.0
    assert averaged([1.0, 2.0, 4.0, 0.0, 1.0], decay=0.3) == pytest.approx([1.0, second, third, fourth, fifth])


def test_a_short_training_forgets_the_weights_that_it_began_with():
    assert averaged([0.0] + [1.0] * 29, decay=0.999)[-1] > 0.999
    assert averaged([0.0] + [1.0] * 9, decay=0.999)[-1] > 0.99


def test_it_goes_on_after_it_was_loaded():
    torch.manual_seed(0)
    model, other = nn.Linear(2, 2), nn.Linear(2, 2)
    whole = WeightAverage(model, 0.9)
    for _ in range(3):
        nn.init.normal_(model.weight)
        whole.update_parameters(model)
    loaded = WeightAverage(other, 0.9)
    loaded.load_state_dict(whole.state_dict())
    for average in (whole, loaded):
        average.update_parameters(other)
    torch.testing.assert_close(whole.module.weight, loaded.module.weight, rtol=0, atol=0)
