"""U-Net (Ronneberger et al. 2015) with exchangeable blocks, skip connections and bottleneck."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from trainables.config import ModelConfig
from trainables.models.blocks import BLOCKS
from trainables.models.bottlenecks import BOTTLENECKS
from trainables.models.skips import SKIPS
from trainables.registry import lookup


class UNet(nn.Module):
    """Encoder of `depth` stages that halve the size and double the channels, and a decoder that undoes it.

    Dropout drops whole channels behind the bottleneck and behind each decoder stage. Weights are drawn for ReLU (He et
    al. 2015).

    Args:
        config: sizes and parts.
        in_channels: of the images.
        num_classes: channels of the logits.
    """

    def __init__(self, config: ModelConfig, *, in_channels: int, num_classes: int):
        super().__init__()
        block = lookup(BLOCKS, config.block, "block")
        skip = lookup(SKIPS, config.skip, "skip connection")
        widths = [config.width * 2**stage for stage in range(config.depth + 1)]
        self.stride = 2**config.depth
        self.encoder = nn.ModuleList(
            block(before, after) for before, after in zip([in_channels, *widths], widths[:-1], strict=False)
        )
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = nn.Sequential(
            block(widths[-2], widths[-1]),
            lookup(BOTTLENECKS, config.bottleneck, "bottleneck")(widths[-1], config.aspp_rates or ()),
            nn.Dropout2d(config.dropout),
        )
        self.upsample, self.skips, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for below, width in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.upsample.append(nn.ConvTranspose2d(below, width, 2, stride=2))
            self.skips.append(joined := skip(width))
            self.decoder.append(nn.Sequential(block(int(joined.out_channels), width), nn.Dropout2d(config.dropout)))
        self.head = nn.Conv2d(widths[0], num_classes, 1)
        self.apply(_initialise)

    def forward(self, x_nchw: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes, H, W) of images (N, in_channels, H, W) of any size."""
        height, width = x_nchw.shape[-2:]
        # At least 2x2 at the bottleneck: batch normalisation of a single image needs more than one value a channel.
        bottom, right = (max(2, -(-size // self.stride)) * self.stride - size for size in (height, width))
        x = functional.pad(x_nchw, (0, right, 0, bottom), mode="replicate")
        features = []
        for stage in self.encoder:
            x = stage(x)
            features.append(x)
            x = self.pool(x)
        x = self.bottleneck(x)
        for upsample, skip, stage in zip(self.upsample, self.skips, self.decoder, strict=True):
            x = stage(skip(features.pop(), upsample(x)))
        return self.head(x)[..., :height, :width]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def build_model(config: ModelConfig, *, in_channels: int, num_classes: int) -> UNet:
    """The network of a configuration, freshly initialised."""
    return UNet(config, in_channels=in_channels, num_classes=num_classes)
