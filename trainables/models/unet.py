"""U-Net (Ronneberger et al. 2015) with configurable blocks, skip connections and bottleneck."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from trainables.models.blocks import BLOCKS
from trainables.models.bottlenecks import BOTTLENECKS
from trainables.models.config import ModelConfig
from trainables.models.outputs import Outputs
from trainables.models.skips import SKIPS
from trainables.registry import lookup


class UNet(nn.Module):
    """An encoder of `depth` stages, each of which halves the size and doubles the channels, and a symmetric decoder.

    Dropout zeroes whole channels after the bottleneck and after each decoder stage but the last, whose few channels are
    the input of the classifier. With deep supervision (Lee et al. 2015, "Deeply-Supervised Nets") each decoder stage
    but the last has its own classifier, used only in training.

    A class head (Zhang et al. 2018, "Context Encoding for Semantic Segmentation", section 3.1) predicts from the mean
    features of the bottleneck which classes are in the image. It is an auxiliary task. As a gate it also adds, for each
    class, the log-probability that the class is in the image to the logits of the class.

    Args:
        config: sizes and parts of the network.
        in_channels: channels of the images.
        num_classes: channels of the logits.
    """

    def __init__(self, config: ModelConfig, *, in_channels: int, num_classes: int):
        super().__init__()
        block = lookup(BLOCKS, config.block, "block")
        skip = lookup(SKIPS, config.skip, "skip connection")
        bottleneck = lookup(BOTTLENECKS, config.bottleneck, "bottleneck")
        widths = [config.width * 2**stage for stage in range(config.depth + 1)]
        self.stride = 2**config.depth
        self.encoder = nn.ModuleList(
            block(before, after) for before, after in zip([in_channels, *widths[:-2]], widths[:-1], strict=True)
        )
        self.pool = nn.MaxPool2d(2)
        self.bottleneck = nn.Sequential(
            block(widths[-2], widths[-1]), bottleneck(widths[-1], config.aspp_rates or ()), _dropout(config.dropout)
        )
        self.upsample, self.skips, self.decoder = nn.ModuleList(), nn.ModuleList(), nn.ModuleList()
        for below, width in zip(widths[:0:-1], widths[-2::-1], strict=True):
            self.upsample.append(_upsample(below, width))
            self.skips.append(joined := skip(width))
            dropout = _dropout(config.dropout if width > config.width else 0.0)
            self.decoder.append(nn.Sequential(block(joined.out_channels, width), dropout))
        self.head = _head(config.width, num_classes)
        self.class_head = None if config.class_head == "none" else _head(widths[-1], num_classes)
        self.gated = config.class_head == "gate"
        supervised = widths[-2:0:-1] if config.deep_supervision else []  # all decoder stages but the last
        self.auxiliary_heads = nn.ModuleList(_head(width, num_classes) for width in supervised)
        self.auxiliary_weights = [config.deep_supervision / 2 ** (stage - 1) for stage in range(len(supervised), 0, -1)]

    def forward(self, x_nchw: torch.Tensor) -> torch.Tensor:
        """Return logits (N, num_classes, H, W) of images (N, in_channels, H, W) of any size.

        If the stride does not divide the size, the last row and column are repeated as padding, and the logits cropped.
        """
        bottom, decoded = self._decode(x_nchw)
        return self._logits(decoded[-1], self._presence(bottom), x_nchw)

    def outputs(self, x_nchw: torch.Tensor) -> Outputs:
        """Return the logits of `forward` and of the other heads. Auxiliary logits are upsampled to the image size."""
        height, width = x_nchw.shape[-2:]
        bottom, decoded = self._decode(x_nchw)
        size = decoded[-1].shape[-2:]
        auxiliary = [
            functional.interpolate(head(x), size, mode="bilinear", align_corners=False)[..., :height, :width]
            for head, x in zip(self.auxiliary_heads, decoded, strict=False)
        ]
        presence = self._presence(bottom)
        return Outputs(
            logits=self._logits(decoded[-1], presence, x_nchw),
            auxiliary=list(zip(self.auxiliary_weights, auxiliary, strict=True)),
            presence=None if presence is None else presence.flatten(1),
        )

    def encoders(self) -> list[nn.Module]:
        """Return the modules that a second training stage freezes."""
        return [self.encoder]

    def _presence(self, bottom_nchw: torch.Tensor) -> torch.Tensor | None:
        """Return the logits that a class is in the image: (N, num_classes, 1, 1); None without a class head."""
        return None if self.class_head is None else self.class_head(bottom_nchw.mean((2, 3), keepdim=True))

    def _logits(self, decoded: torch.Tensor, presence: torch.Tensor | None, x_nchw: torch.Tensor) -> torch.Tensor:
        """Return logits (N, num_classes, H, W), cropped to the size of the images, and gated if configured."""
        logits = self.head(decoded)[..., : x_nchw.shape[-2], : x_nchw.shape[-1]]
        return logits + functional.logsigmoid(presence) if self.gated and presence is not None else logits

    def _decode(self, x_nchw: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return the features of the bottleneck and of each decoder stage, coarsest first, for the padded images."""
        height, width = x_nchw.shape[-2:]
        rows, columns = -(-height // self.stride), -(-width // self.stride)
        if rows == columns == 1:
            columns = 2  # batch normalisation of a single image needs at least two pixels at the bottleneck
        bottom, right = rows * self.stride - height, columns * self.stride - width
        x = functional.pad(x_nchw, (0, right, 0, bottom), mode="replicate") if bottom or right else x_nchw
        features = []
        for stage in self.encoder:
            x = stage(x)
            features.append(x)
            x = self.pool(x)
        x = bottom = self.bottleneck(x)
        decoded = []
        for upsample, skip, stage in zip(self.upsample, self.skips, self.decoder, strict=True):
            x = stage(skip(features.pop(), upsample(x)))
            decoded.append(x)
        return bottom, decoded


def _head(in_channels: int, num_classes: int) -> nn.Conv2d:
    """1x1 convolution to the logits."""
    layer = nn.Conv2d(in_channels, num_classes, 1)
    nn.init.normal_(layer.weight, std=0.01)  # classes start equally likely: the first loss is log(num_classes)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _upsample(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """Transposed convolution that doubles the size.

    Its windows do not overlap and no ReLU follows: each output is a sum of `in_channels` products. With a standard
    deviation of 1 / sqrt(in_channels) the weights keep the scale of the input.
    """
    layer = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
    nn.init.normal_(layer.weight, std=in_channels**-0.5)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _dropout(probability: float) -> nn.Module:
    # Dropout2d(0) would still draw a mask and multiply by it.
    return nn.Dropout2d(probability) if probability else nn.Identity()
