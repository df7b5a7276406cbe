"""Exponential moving average of the weights of a model, which is evaluated and saved instead of the last weights."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WeightAverage(AveragedModel):
    """Exponential moving average whose decay warms up: min(decay, (1 + n) / (10 + n)) after n steps.

    It starts with the weights after the first step. Without the warm-up (that of TensorFlow's
    `ExponentialMovingAverage`), these would still have a weight of about 1/e in the average after 1 / (1 - decay)
    steps, which may be the length of a short training. Batch statistics are averaged in the same way.
    """

    def __init__(self, model: nn.Module, decay: float):
        super().__init__(model, use_buffers=True)
        self.decay = decay

    def update_parameters(self, model: nn.Module) -> None:
        count = int(self.n_averaged)  # `n_averaged` stays on the CPU: no synchronisation with a GPU
        self.multi_avg_fn = get_ema_multi_avg_fn(min(self.decay, (1 + count) / (10 + count)))
        super().update_parameters(model)
