"""Convolution blocks that map (N, in_channels, H, W) to (N, out_channels, H, W)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

REDUCTION = 8
"""Reduction ratio of squeeze-and-excitation: channels over channels of its hidden layer."""


def conv(in_channels: int, out_channels: int, kernel: int = 1, dilation: int = 1) -> nn.Conv2d:
    """Convolution that keeps the size, initialised for a following ReLU (He et al. 2015, eq. 10).

    It has no bias, because the batch normalisation that follows would remove it.
    """
    padding = dilation * (kernel // 2)
    layer = nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=dilation, bias=False)
    nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    return layer


def conv_norm_relu(in_channels: int, out_channels: int, kernel: int = 3, dilation: int = 1) -> nn.Sequential:
    """Convolution that keeps the size, followed by batch normalisation and ReLU."""
    return nn.Sequential(
        conv(in_channels, out_channels, kernel, dilation), nn.BatchNorm2d(out_channels), nn.ReLU(inplace=True)
    )


class DualConv(nn.Sequential):
    """Two 3x3 convolutions, each with batch normalisation and ReLU (Ronneberger et al. 2015, with normalisation)."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(conv_norm_relu(in_channels, out_channels), conv_norm_relu(out_channels, out_channels))


class ResidualConv(nn.Module):
    """Two 3x3 convolutions with a shortcut (He et al. 2016), which is projected if the numbers of channels differ."""

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
    """Scales each channel by a weight computed from the mean features of the image (Hu et al. 2018, section 3).

    The activation is SiLU, as in EfficientNet (Tan and Le 2019). Means of features after a ReLU are positive, so a unit
    with a ReLU could be dead for all images. The weight is 2 sigmoid(w): it starts at 1, which keeps the scale.
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
    """Two convolutions, followed by squeeze-and-excitation."""
    return nn.Sequential(DualConv(in_channels, out_channels), SqueezeExcitation(out_channels))


def residual_se(in_channels: int, out_channels: int) -> nn.Module:
    """A residual block, followed by squeeze-and-excitation. Unlike in the paper, the shortcut is scaled, too."""
    return nn.Sequential(ResidualConv(in_channels, out_channels), SqueezeExcitation(out_channels))


BLOCKS: dict[str, Callable[[int, int], nn.Module]] = {
    "plain": DualConv,
    "residual": ResidualConv,
    "plain_se": plain_se,
    "residual_se": residual_se,
}
"""Name to block(in_channels, out_channels)."""
