"""The exponential moving average of a model's weights, which is evaluated and kept in place of the newest ones."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WeightAverage(AveragedModel):
    """An average over steps whose decay warms up: min(decay, (1 + n) / (10 + n)) after n steps.

    The weights after the first step are taken as they are. Without the warm-up (that of TensorFlow's
    `ExponentialMovingAverage`) they would still make up most of the average after 1 / (1 - decay) steps, which may be
    all that a short training has. Batch statistics are averaged in the same way.
    """

    def __init__(self, model: nn.Module, decay: float):
        super().__init__(model, use_buffers=True)
        self.decay = decay

    def update_parameters(self, model: nn.Module) -> None:
        count = int(self.n_averaged)  # stays on the CPU: no GPU is waited for
        self.multi_avg_fn = get_ema_multi_avg_fn(min(self.decay, (1 + count) / (10 + count)))
        super().update_parameters(model)
