"""Convolution blocks: (N, in, H, W) to (N, out, H, W)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional


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


BLOCKS: dict[str, Callable[[int, int], nn.Module]] = {"plain": DualConv, "residual": ResidualConv}
"""Name to block(in_channels, out_channels)."""
