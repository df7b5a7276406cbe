"""The U-Net family: its parts by name, and a function that builds a network from a configuration."""

from __future__ import annotations

from trainables.models.blocks import BLOCKS
from trainables.models.bottlenecks import BOTTLENECKS
from trainables.models.config import ModelConfig
from trainables.models.outputs import Outputs
from trainables.models.skips import SKIPS
from trainables.models.two_networks import BackgroundPair
from trainables.models.unet import UNet

Model = UNet | BackgroundPair

__all__ = ["BLOCKS", "BOTTLENECKS", "SKIPS", "BackgroundPair", "Model", "ModelConfig", "Outputs", "UNet", "build_model"]


def build_model(config: ModelConfig, *, in_channels: int, num_classes: int, ignored_label: int | None = None) -> Model:
    """Build the network of a configuration. Weights are initialised from the global generator of PyTorch.

    Args:
        config: sizes and parts of the network.
        in_channels: channels of the images.
        num_classes: channels of the logits.
        ignored_label: label of unlabelled pixels; None: no label is ignored.

    Raises:
        ValueError: if a background network is configured, but no label is ignored.
    """
    if config.background == "none":
        return UNet(config, in_channels=in_channels, num_classes=num_classes)
    if ignored_label is None:
        raise ValueError(f"model.background = {config.background!r}: the data has no ignored label")
    return BackgroundPair(config, in_channels=in_channels, num_classes=num_classes, ignored_label=ignored_label)
