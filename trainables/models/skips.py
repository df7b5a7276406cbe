"""Skip connections, which merge the features of an encoder stage into the decoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from trainables.models.blocks import conv

OPEN = 2.0
"""Initial bias of the gates: sigmoid(2) = 0.88, so that they start nearly open."""


class Skip(nn.Module):
    """Merges encoder features and upsampled features, both (N, channels, H, W), into (N, out_channels, H, W)."""

    out_channels: int


class Concat(Skip):
    """Concatenation (Ronneberger et al. 2015)."""

    def __init__(self, channels: int):
        super().__init__()
        self.out_channels = 2 * channels

    def forward(self, skip_nchw: torch.Tensor, up_nchw: torch.Tensor) -> torch.Tensor:
        return torch.cat((skip_nchw, up_nchw), dim=1)


class Add(Skip):
    """Sum (Chaurasia and Culurciello 2017, "LinkNet", section 3)."""

    def __init__(self, channels: int):
        super().__init__()
        self.out_channels = channels

    def forward(self, skip_nchw: torch.Tensor, up_nchw: torch.Tensor) -> torch.Tensor:
        return skip_nchw + up_nchw


class AdaptiveFusion(Skip):
    """Mean with two learned weights per channel (Tan et al. 2020, "EfficientDet", section 3.3, softmax fusion)."""

    def __init__(self, channels: int):
        super().__init__()
        self.weights = nn.Parameter(torch.zeros(2, channels, 1, 1))
        self.out_channels = channels

    def forward(self, skip_nchw: torch.Tensor, up_nchw: torch.Tensor) -> torch.Tensor:
        from_skip, from_up = self.weights.softmax(0)
        return from_skip * skip_nchw + from_up * up_nchw


class GatedSkip(Skip):
    """Concatenation, with a gate sigmoid(W [skip, upsampled]) per channel and pixel on the encoder features.

    Dauphin et al. 2017, "Language Modeling with Gated Convolutional Networks", eq. 1.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.gate = nn.Conv2d(2 * channels, channels, 1)
        nn.init.kaiming_normal_(self.gate.weight, nonlinearity="sigmoid")
        nn.init.constant_(self.gate.bias, OPEN)  # type: ignore[arg-type]
        self.out_channels = 2 * channels

    def forward(self, skip_nchw: torch.Tensor, up_nchw: torch.Tensor) -> torch.Tensor:
        gate_nchw = self.gate(torch.cat((skip_nchw, up_nchw), dim=1)).sigmoid()
        return torch.cat((skip_nchw * gate_nchw, up_nchw), dim=1)


class AttentionGate(Skip):
    """Concatenation, with additive attention on encoder features (Oktay et al. 2018, "Attention U-Net", eq. 1 and 2).

    One weight per pixel, sigmoid(psi(relu(W_x x + W_g g))), scales the encoder features x. Unlike in the paper, the
    gating signal g are the upsampled features, so that the weights need no resampling, and the sum is batch-normalised.
    """

    def __init__(self, channels: int):
        super().__init__()
        inner = max(1, channels // 2)
        self.from_skip, self.from_up = conv(channels, inner), conv(channels, inner)
        self.norm_relu = nn.Sequential(nn.BatchNorm2d(inner), nn.ReLU(inplace=True))
        self.psi = nn.Conv2d(inner, 1, 1)
        nn.init.kaiming_normal_(self.psi.weight, nonlinearity="linear")
        nn.init.constant_(self.psi.bias, OPEN)  # type: ignore[arg-type]
        self.out_channels = 2 * channels

    def forward(self, skip_nchw: torch.Tensor, up_nchw: torch.Tensor) -> torch.Tensor:
        gate_n1hw = self.psi(self.norm_relu(self.from_skip(skip_nchw) + self.from_up(up_nchw))).sigmoid()
        return torch.cat((skip_nchw * gate_n1hw, up_nchw), dim=1)


SKIPS: dict[str, Callable[[int], Skip]] = {
    "concat": Concat,
    "add": Add,
    "fusion": AdaptiveFusion,
    "gated": GatedSkip,
    "attention": AttentionGate,
}
"""Name to skip(channels)."""
