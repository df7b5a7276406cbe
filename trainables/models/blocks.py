"""Convolution blocks: (N, in, H, W) to (N, out, H, W)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

REDUCTION = 8
"""Channels over those that squeeze-and-excitation decides with."""


def conv(in_channels: int, out_channels: int, kernel: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Convolution that keeps the size and feeds a ReLU: weights from He et al. 2015, eq. 10.

    Without a bias: batch normalisation, which follows, would take it out again.
    """
    padding = dilation * (kernel // 2)
    layer = nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=dilation, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer


def conv_norm_relu(in_channels: int, out_channels: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    """Convolution that keeps the size, batch normalisation, ReLU."""
    return nn.Sequential(
        conv(in_channels, out_channels, kernel, dilation), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
    )


class DualConv(nn.Sequential):
    """Two 3x3 convolutions, each with batch normalisation and ReLU (Ronneberger et al. 2015, with normalisation)."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(conv_norm_relu(in_channels, out_channels), conv_norm_relu(out_channels, out_channels))


class ResidualConv(nn.Module):
    """Two 3x3 convolutions whose output is added to the input (He et al. 2016), projected where channels differ."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.convs = nn.Sequential(
            conv_norm_relu(in_channels, out_channels), conv(out_channels, out_channels, 3), nn.BatchNorm2d(out_channels)
        )
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = nn.Sequential(conv(in_channels, out_channels), nn.BatchNorm2d(out_channels))

    def forward(self, x_nchw: torch.Tensor) -> torch.Tensor:
        return functional.relu(self.convs(x_nchw) + self.shortcut(x_nchw), inplace=True)


class SqueezeExcitation(nn.Module):
    """Scales each channel by a weight that the image's mean features decide (Hu et al. 2018, section 3).

    With SiLU inside, as in EfficientNet (Tan and Le 2019): the means, of features after a ReLU, are positive, so a
    ReLU may be dead for all images alike. A weight of 2 sigmoid(w), which starts at 1, keeps the features' scale.
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = max(4, channels // REDUCTION)
        self.squeeze, self.excite = nn.Conv2d(channels, inner, 1), nn.Conv2d(inner, channels, 1)
        nn.init.kaiming_normal_(self.squeeze.weight, nonlinearity="relu")
        nn.init.normal_(self.excite.weight, std=0.01)
        for layer in (self.squeeze, self.excite):
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, x_nchw: torch.Tensor) -> torch.Tensor:
        mean_nc11 = x_nchw.mean((2, 3), keepdim=True)
        return x_nchw * (2 * self.excite(functional.silu(self.squeeze(mean_nc11))).sigmoid())


def plain_se(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Sequential(DualConv(in_channels, out_channels), SqueezeExcitation(out_channels))


def residual_se(in_channels: int, out_channels: int) -> nn.Module:
    """Other than in the paper, the sum of input and residual is scaled."""
    return nn.Sequential(ResidualConv(in_channels, out_channels), SqueezeExcitation(out_channels))


BLOCKS: dict[str, Callable[[int, int], nn.Module]] = {
    "plain": DualConv,
    "residual": ResidualConv,
    "plain_se": plain_se,
    "residual_se": residual_se,
}
"""Name to block(in_channels, out_channels)."""
