"""What the deepest features pass before they are upsampled: (N, C, H, W) to the same shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from trainables.models.blocks import conv_norm_relu


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2017, "Rethinking Atrous Convolution", section 3.3).

    A 1x1 convolution, one dilated 3x3 convolution a rate and the image's mean, side by side, projected back. The
    pooled branch has no batch normalisation: one value a channel and image has no spread to normalise in a small batch.
    """

    def __init__(self, channels: int, rates: Sequence[int]):
        super().__init__()
        self.branches = nn.ModuleList(
            [conv_norm_relu(channels, channels, kernel=1)]
            + [conv_norm_relu(channels, channels, dilation=rate) for rate in rates]
        )
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1), nn.ReLU(inplace=True))
        self.project = conv_norm_relu(channels * (len(rates) + 2), channels, kernel=1)

    def forward(self, x_nchw: torch.Tensor) -> torch.Tensor:
        features = [branch(x_nchw) for branch in self.branches]
        features.append(self.pooled(x_nchw).expand_as(x_nchw))
        return self.project(torch.cat(features, dim=1))


def plain(channels: int, rates: Sequence[int]) -> nn.Module:
    """Nothing more."""
    assert not rates
    return nn.Identity()


BOTTLENECKS: dict[str, Callable[[int, Sequence[int]], nn.Module]] = {"plain": plain, "aspp": ASPP}
"""Name to bottleneck(channels, dilation rates)."""
