"""Two networks: one separates the ignored class from all others, one classifies the others."""

from __future__ import annotations

import dataclasses

import torch
from torch import nn
from torch.nn import functional

from trainables.models.config import ModelConfig
from trainables.models.outputs import Outputs
from trainables.models.unet import UNet


class BackgroundPair(nn.Module):
    """A terrain network and a background network with the same architecture.

    Predicts log-probabilities: log p(background) for the ignored class, log(1 - p(background)) + log q for each other
    class, q the softmax of the terrain network over all classes but the ignored one. With the ignored class suppressed,
    the prediction is that of the terrain network.

    Args:
        config: settings of both networks. The background network has one logit, no auxiliary heads and no class head.
        in_channels: channels of the images.
        num_classes: number of classes, the ignored one included.
        ignored_label: the label that the background network predicts.
    """

    ignored: torch.Tensor
    """(num_classes, 1, 1) bool: True for the ignored class."""

    def __init__(self, config: ModelConfig, *, in_channels: int, num_classes: int, ignored_label: int):
        super().__init__()
        self.terrain = UNet(config, in_channels=in_channels, num_classes=num_classes)
        self.background = UNet(
            dataclasses.replace(config, deep_supervision=0.0, class_head="none"), in_channels=in_channels, num_classes=1
        )
        ignored = torch.arange(num_classes) == ignored_label
        self.register_buffer("ignored", ignored.view(-1, 1, 1), persistent=False)

    def forward(self, x_nchw: torch.Tensor) -> torch.Tensor:
        """Return log-probabilities (N, num_classes, H, W) fp32 of images (N, in_channels, H, W) of any size."""
        terrain, background = self.terrain(x_nchw).float(), self.background(x_nchw).float()
        log_q = terrain.masked_fill(self.ignored, -torch.inf).log_softmax(1)
        return torch.where(self.ignored, functional.logsigmoid(background), log_q + functional.logsigmoid(-background))

    def outputs(self, x_nchw: torch.Tensor) -> Outputs:
        """Return the logits of both networks separately: each has its own loss."""
        return self.terrain.outputs(x_nchw)._replace(background=self.background(x_nchw))

    def encoders(self) -> list[nn.Module]:
        """Return the modules that a second training stage freezes."""
        return [*self.terrain.encoders(), *self.background.encoders()]
