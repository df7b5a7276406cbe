"""The U-Net family: its parts by name, and how a configuration becomes a network."""

from __future__ import annotations

from trainables.models.blocks import BLOCKS
from trainables.models.bottlenecks import BOTTLENECKS
from trainables.models.skips import SKIPS
from trainables.models.unet import UNet, build_model

__all__ = ["BLOCKS", "BOTTLENECKS", "SKIPS", "UNet", "build_model"]
