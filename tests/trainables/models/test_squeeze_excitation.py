from __future__ import annotations

import pytest
import torch

from trainables.models.blocks import BLOCKS, SqueezeExcitation


def test_each_channel_is_scaled_by_what_the_image_means():
    scaled = SqueezeExcitation(2)
    for layer in (scaled.squeeze, scaled.excite):
        torch.nn.init.zeros_(layer.weight)
    scaled.squeeze.weight.data[0, 0] = 1.0  # the first channel's mean ...
    scaled.excite.weight.data[1, 0] = 2.0  # ... scales the second channel
    x = torch.tensor([[[[1.0, 3.0]], [[5.0, 7.0]]], [[[0.0, 0.0]], [[5.0, 7.0]]]])
    inside = 2.0 / (1 + torch.exp(torch.tensor(-2.0)))  # SiLU of the mean
    weight = 2 * torch.sigmoid(2 * inside)
    expected = x.clone()
    expected[0, 1] *= weight
    torch.testing.assert_close(scaled(x), expected)


def test_it_begins_by_letting_everything_through():
    torch.manual_seed(0)
    x = torch.rand(2, 16, 4, 4)
    torch.testing.assert_close(SqueezeExcitation(16)(x), x, rtol=0.05, atol=0)


@pytest.mark.parametrize("name", ["plain_se", "residual_se"])
def test_the_blocks_scale_what_the_others_give(name):
    torch.manual_seed(0)
    block = BLOCKS[name](3, 8).eval()
    x = torch.rand(2, 3, 8, 8)
    assert isinstance(block[1], SqueezeExcitation)
    torch.testing.assert_close(block(x), block[1](block[0](x)))
    assert type(block[0]) is BLOCKS[name.removesuffix("_se")]
