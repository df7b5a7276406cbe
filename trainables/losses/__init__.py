"""Training losses by name. All take logits (N, C, H, W) and labels (N, H, W) int64, and exclude ignored pixels."""

from trainables.losses.config import LossConfig
from trainables.losses.registry import LOSSES
from trainables.losses.task import Loss, LossTask, TrainingLoss
from trainables.losses.weighted_sum import build_loss

__all__ = ["LOSSES", "Loss", "LossConfig", "LossTask", "TrainingLoss", "build_loss"]
