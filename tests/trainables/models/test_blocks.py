from __future__ import annotations

import pytest
import torch

from trainables.models.blocks import ResidualConv, conv, conv_norm_relu


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (3, 4)])
def test_a_convolution_keeps_the_size_and_has_weights_drawn_for_relu(kernel, dilation):
    torch.manual_seed(0)
    layer = conv(64, 32, kernel, dilation)
    assert layer(torch.rand(1, 64, 7, 10)).shape == (1, 32, 7, 10)
    assert layer.weight.std().item() == pytest.approx((2 / (64 * kernel**2)) ** 0.5, rel=0.05)
    assert layer.bias is None


def test_batch_normalisation_comes_before_relu():
    features = conv_norm_relu(3, 16)(torch.rand(4, 3, 32, 32))
    assert features.min() == 0
    assert (features == 0).float().mean().item() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize("channels", [(4, 4), (4, 8)])
def test_a_residual_block_whose_convolutions_give_nothing_passes_its_shortcut(channels):
    block = ResidualConv(*channels).eval()
    torch.nn.init.zeros_(block.convs[1].weight)
    x = torch.randn(2, channels[0], 6, 6)
    assert torch.equal(block(x), block.shortcut(x).relu())
    assert torch.equal(block.shortcut(x), x) == (channels == (4, 4))
