"""Skip connections: how an encoder stage's features join the decoder's."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


class Concat(nn.Module):
    """Features side by side, as in the original U-Net. Gives twice the channels."""

    def __init__(self, channels: int):
        super().__init__()
        self.out_channels = 2 * channels

    def forward(self, skip_nchw: torch.Tensor, up_nchw: torch.Tensor) -> torch.Tensor:
        return torch.cat((skip_nchw, up_nchw), dim=1)


class AttentionGate(nn.Module):
    """Concatenation after an additive attention gate on the skip (Oktay et al. 2018, "Attention U-Net", section 2).

    The decoder's features say, for each pixel, how much of the encoder's pass: sigmoid(psi(relu(W_x x + W_g g))).
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = max(1, channels // 2)
        self.from_skip = nn.Sequential(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner))
        self.from_up = nn.Sequential(nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner))
        self.psi = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(inner, 1, 1), nn.Sigmoid())
        self.out_channels = 2 * channels

    def forward(self, skip_nchw: torch.Tensor, up_nchw: torch.Tensor) -> torch.Tensor:
        gate_n1hw = self.psi(self.from_skip(skip_nchw) + self.from_up(up_nchw))
        return torch.cat((skip_nchw * gate_n1hw, up_nchw), dim=1)


SKIPS: dict[str, Callable[[int], nn.Module]] = {"concat": Concat, "attention": AttentionGate}
"""Name to skip(channels): a module that joins (skip, upsampled), both of that many channels, into `out_channels`."""
