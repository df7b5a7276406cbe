"""The U-Net family: its parts by name, and a function that builds a network from a configuration."""

from trainables.models.blocks import BLOCKS
from trainables.models.bottlenecks import BOTTLENECKS
from trainables.models.build import Model, build_model
from trainables.models.config import ModelConfig
from trainables.models.outputs import Outputs
from trainables.models.skips import SKIPS
from trainables.models.two_networks import BackgroundPair
from trainables.models.unet import UNet

__all__ = ["BLOCKS", "BOTTLENECKS", "SKIPS", "BackgroundPair", "Model", "ModelConfig", "Outputs", "UNet", "build_model"]
