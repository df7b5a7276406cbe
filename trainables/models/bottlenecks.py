"""Modules between encoder and decoder, which add context: (N, C, H, W) to the same shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn
from torch.nn import functional

from trainables.models.blocks import conv_norm_relu

GRIDS = (1, 2, 3, 6)
"""Grid sizes of pyramid pooling: n x n cells."""


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2017, "Rethinking Atrous Convolution", section 3.3).

    Parallel branches, concatenated and projected to C channels: a 1x1 convolution, a dilated 3x3 convolution for each
    rate, and the mean over the image. Each branch has C / 4 channels, so that three rates cost less than the block
    before them. The branch of the mean has a bias instead of batch normalisation, which is undefined for a batch of a
    single image: it has one value per channel.

    Args:
        channels: C.
        rates: dilation rates, in pixels of the feature map.
    """

    def __init__(self, channels: int, rates: Sequence[int]):
        super().__init__()
        inner = max(1, channels // 4)
        self.branches = nn.ModuleList(
            [conv_norm_relu(channels, inner, kernel=1)]
            + [conv_norm_relu(channels, inner, dilation=rate) for rate in rates]
        )
        self.mean = _biased(channels, inner)
        self.project = conv_norm_relu(inner * (len(rates) + 2), channels, kernel=1)

    def forward(self, x_nchw: torch.Tensor) -> torch.Tensor:
        features = [branch(x_nchw) for branch in self.branches]
        mean_nc11 = self.mean(x_nchw.mean((2, 3), keepdim=True)).relu()
        return self.project(torch.cat([*features, mean_nc11.expand_as(features[0])], dim=1))


class PyramidPooling(nn.Module):
    """Pyramid pooling (Zhao et al. 2017, "Pyramid Scene Parsing Network", section 3.2).

    Means over grids of 1, 2x2, 3x3 and 6x6 cells pass a 1x1 convolution to C / 4 channels, are upsampled, concatenated
    with the features and projected to C channels. These convolutions have a bias instead of batch normalisation, like
    the branch of the mean in `ASPP`.
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = max(1, channels // 4)
        self.means = nn.ModuleList(_biased(channels, inner) for _ in GRIDS)
        self.project = conv_norm_relu(channels + inner * len(GRIDS), channels, kernel=1)

    def forward(self, x_nchw: torch.Tensor) -> torch.Tensor:
        features = [x_nchw]
        for grid, layer in zip(GRIDS, self.means, strict=True):
            mean = layer(functional.adaptive_avg_pool2d(x_nchw, grid)).relu()
            features.append(functional.interpolate(mean, x_nchw.shape[-2:], mode="bilinear", align_corners=False))
        return self.project(torch.cat(features, dim=1))


def _biased(in_channels: int, out_channels: int) -> nn.Conv2d:
    """1x1 convolution with a bias, initialised for a following ReLU (He et al. 2015, eq. 10)."""
    layer = nn.Conv2d(in_channels, out_channels, 1)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def pyramid_pooling(channels: int, rates: Sequence[int]) -> nn.Module:
    """`PyramidPooling`, which has no dilation rates."""
    assert not rates
    return PyramidPooling(channels)


def plain(channels: int, rates: Sequence[int]) -> nn.Module:
    """The identity."""
    assert not rates
    return nn.Identity()


BOTTLENECKS: dict[str, Callable[[int, Sequence[int]], nn.Module]] = {
    "plain": plain,
    "aspp": ASPP,
    "psp": pyramid_pooling,
}
"""Name to bottleneck(channels, dilation rates)."""
