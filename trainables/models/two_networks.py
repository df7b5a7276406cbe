"""Two networks: one tells the ignored class from all others, one tells the others apart."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn
from torch.nn import functional

from trainables.models.config import ModelConfig
from trainables.models.outputs import Outputs
from trainables.models.unet import UNet


class BackgroundPair(nn.Module):
    """A terrain network and a background network of the same make.

    Predicts log-probabilities: of the ignored class log p(background), of every other log(1 - p(background)) + log q, q
    the terrain network's softmax over the classes that are not ignored. Where the ignored class is suppressed, what is
    left is the terrain network's choice.

    Args:
        config: of both networks; the background network has one logit, and neither auxiliary heads nor a class head.
        in_channels: of the images.
        num_classes: of the prediction.
        ignored_label: the class that the background network answers for.
    """

    ignored: torch.Tensor

    def __init__(self, config: ModelConfig, *, in_channels: int, num_classes: int, ignored_label: int):
        super().__init__()
        self.terrain = UNet(config, in_channels=in_channels, num_classes=num_classes)
        self.background = UNet(
            dataclasses.replace(config, deep_supervision=0.0, class_head="none"), in_channels=in_channels, num_classes=1
        )
        ignored = torch.arange(num_classes) == ignored_label
        self.register_buffer("ignored", ignored.view(-1, 1, 1), persistent=False)

    def forward(self, x_nchw: torch.Tensor) -> torch.Tensor:
        """Log-probabilities (N, num_classes, H, W) of images (N, in_channels, H, W) of any size."""
        terrain, background = self.terrain(x_nchw).float(), self.background(x_nchw).float()
        log_q = terrain.masked_fill(self.ignored, -torch.inf).log_softmax(1)
        return torch.where(self.ignored, functional.logsigmoid(background), log_q + functional.logsigmoid(-background))

    def outputs(self, x_nchw: torch.Tensor) -> Outputs:
        """Both networks' logits apart: each has its own loss."""
        return self.terrain.outputs(x_nchw)._replace(background=self.background(x_nchw))

    def encoders(self) -> list[nn.Module]:
        """What a second stage of training freezes."""
        return [*self.terrain.encoders(), *self.background.encoders()]
