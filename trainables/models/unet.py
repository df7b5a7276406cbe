"""U-Net (Ronneberger et al. 2015) with exchangeable blocks, skip connections and bottleneck."""

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
    """Encoder of `depth` stages that halve the size and double the channels, and a decoder that undoes it.

    Dropout drops whole channels after the bottleneck and after each decoder stage but the last, whose few channels go
    straight to the classifier. With deep supervision (Lee et al. 2015, "Deeply-Supervised Nets") each decoder stage but
    the last has a classifier of its own, which only training uses.

    A class head (Zhang et al. 2018, "Context Encoding for Semantic Segmentation", section 3.1) tells from the
    bottleneck's mean features which classes the image shows. It is an auxiliary task; as a gate it also adds the
    logarithm of each class's probability to be there to the class's logits.

    Args:
        config: sizes and parts.
        in_channels: of the images.
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
        supervised = widths[-2:0:-1] if config.deep_supervision else []  # the decoder's stages but the last
        self.auxiliary_heads = nn.ModuleList(_head(width, num_classes) for width in supervised)
        self.auxiliary_weights = [config.deep_supervision / 2 ** (stage - 1) for stage in range(len(supervised), 0, -1)]

    def forward(self, x_nchw: torch.Tensor) -> torch.Tensor:
        """Logits (N, num_classes, H, W) of images (N, in_channels, H, W) of any size.

        Sizes that the stride does not divide are padded with their last row and column, and the logits cropped.
        """
        bottom, decoded = self._decode(x_nchw)
        return self._logits(decoded[-1], self._presence(bottom), x_nchw)

    def outputs(self, x_nchw: torch.Tensor) -> Outputs:
        """`forward`, and the auxiliary heads' logits, upsampled to the images' size."""
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
        """What a second stage of training freezes."""
        return [self.encoder]

    def _presence(self, bottom_nchw: torch.Tensor) -> torch.Tensor | None:
        """(N, num_classes, 1, 1) logits of "the image shows this class"."""
        return None if self.class_head is None else self.class_head(bottom_nchw.mean((2, 3), keepdim=True))

    def _logits(self, decoded: torch.Tensor, presence: torch.Tensor | None, x_nchw: torch.Tensor) -> torch.Tensor:
        logits = self.head(decoded)[..., : x_nchw.shape[-2], : x_nchw.shape[-1]]
        return logits + functional.logsigmoid(presence) if self.gated and presence is not None else logits

    def _decode(self, x_nchw: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """The bottleneck's features, and those of each decoder stage, coarsest first, in sizes of the padded images."""
        height, width = x_nchw.shape[-2:]
        rows, columns = -(-height // self.stride), -(-width // self.stride)
        if rows == columns == 1:
            columns = 2  # batch normalisation of a single image needs more than one pixel at the bottleneck
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
    layer = nn.Conv2d(in_channels, num_classes, 1)
    nn.init.normal_(layer.weight, std=0.01)  # all classes start equally likely: the first loss is log(classes)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _upsample(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    """Transposed convolution that doubles the size. Its windows do not overlap and no ReLU follows: each output is a
    sum of `in_channels` products, which these weights keep at the scale of the input."""
    layer = nn.ConvTranspose2d(in_channels, out_channels, 2, stride=2)
    nn.init.normal_(layer.weight, std=in_channels**-0.5)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return layer


def _dropout(probability: float) -> nn.Module:
    # Dropout2d(0) would still draw its mask and multiply by it.
    return nn.Dropout2d(probability) if probability else nn.Identity()
