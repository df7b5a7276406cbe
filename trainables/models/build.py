"""Builds the network of a configuration."""

from __future__ import annotations

from trainables.models.config import ModelConfig
from trainables.models.two_networks import BackgroundPair
from trainables.models.unet import UNet

Model = UNet | BackgroundPair


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
