"""What the deepest features pass before they are upsampled: (N, C, H, W) to the same shape."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from trainables.models.blocks import conv_norm_relu


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al. 2017, "Rethinking Atrous Convolution", section 3.3).

    A 1x1 convolution, one dilated 3x3 convolution a rate and the image's mean, side by side, projected back. Each
    branch has a quarter of the channels, so that three rates cost less than the block before them. The mean's branch
    has a bias in place of batch normalisation: a single image's one value a channel has no spread to normalise.
    """

    def __init__(self, channels: int, rates: Sequence[int]):
        super().__init__()
        inner = max(1, channels // 4)
        self.branches = nn.ModuleList(
            [conv_norm_relu(channels, inner, kernel=1)]
            + [conv_norm_relu(channels, inner, dilation=rate) for rate in rates]
        )
        self.mean = nn.Conv2d(channels, inner, 1)
        nn.init.kaiming_normal_(self.mean.weight, nonlinearity="relu")
        nn.init.zeros_(self.mean.bias)  # type: ignore[arg-type]
        self.project = conv_norm_relu(inner * (len(rates) + 2), channels, kernel=1)

    def forward(self, x_nchw: torch.Tensor) -> torch.Tensor:
        features = [branch(x_nchw) for branch in self.branches]
        mean_nc11 = self.mean(x_nchw.mean((2, 3), keepdim=True)).relu()
        return self.project(torch.cat([*features, mean_nc11.expand_as(features[0])], dim=1))


def plain(channels: int, rates: Sequence[int]) -> nn.Module:
    """Nothing more."""
    assert not rates
    return nn.Identity()


BOTTLENECKS: dict[str, Callable[[int, Sequence[int]], nn.Module]] = {"plain": plain, "aspp": ASPP}
"""Name to bottleneck(channels, dilation rates)."""
