"""The state of a training, and the training of one epoch."""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from trainables import distributed
from trainables.augmentation.mixing import build_mixing
from trainables.augmentation.transforms import build_augmentation
from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.data.batches import Batches
from trainables.device import place, uses_bf16
from trainables.losses import build_loss
from trainables.models import build_model
from trainables.optim.optimizers import build_optimizer
from trainables.optim.schedules import ReplayedSchedule, Schedule, build_schedule
from trainables.optim.weight_average import WeightAverage
from trainables.training.objective import Objective
from trainables.training.stages import Stage
from trainables.training.stages import stages as stages_of


@dataclass(frozen=True, kw_only=True)
class TrainedEpoch:
    """Measurements of one training epoch."""

    loss: float
    """Mean over the steps."""
    gradient_norm: float
    """L2 norm of the gradient before clipping, mean over the steps."""
    images_per_second: float
    seconds: float


class Training:
    """The model of a trial on one device, with the optimizer, schedule and weight average of the current stage.

    Random generators are seeded with (seed, epoch, rank) in each epoch, so `state_dict` needs no generator states: an
    epoch that starts from the same state always ends in the same state.

    Several ranks share each batch. The batch size, the learning rate and the number of steps do not depend on the
    number of ranks. The size of a worker group therefore changes only its speed, scores in a search are comparable, and
    a trial may resume with fewer workers. Exceptions, computed by each rank on its own part of the batch, are dropout,
    region losses and, on CPUs, batch statistics.

    Args:
        config: the configuration of the trial.
        data: the data set.
        indices: (K,) indices of the images to train on.
        device: the device to train on.
        micro_batches: number of parts that each batch is split into, computed one after the other to save memory.
            Losses that are means over pixels have the same gradient as without the split. Batch statistics and region
            losses are computed on each part.
        stages: the training stages, instead of those of the configuration.
    """

    def __init__(
        self,
        config: TrialConfig,
        data: PreparedData,
        indices: np.ndarray,
        device: torch.device,
        *,
        micro_batches: int = 1,
        stages: tuple[Stage, ...] | None = None,
    ):
        self.config, self.device, self.micro_batches = config, device, micro_batches
        self.described = data.description
        self.bf16 = uses_bf16(config.training.precision, device)
        torch.manual_seed(config.training.seed)  # the same initial weights on every rank
        model = build_model(
            config.model,
            in_channels=data.pixels.channels,
            num_classes=data.description.num_classes,
            ignored_label=data.description.ignored_label,
        )
        self.model = place(distributed.synchronised(model, device), device)
        mixing = build_mixing(config.augmentation, data, indices)
        augmentation = build_augmentation(config.augmentation, size=data.crop)
        self.changes = [change for change in (mixing, augmentation) if change is not None]
        self.batches = Batches(
            data,
            indices,
            batch_size=config.training.batch_size,
            device=device,
            oversampling=config.augmentation.oversampling,
            rare_share=config.augmentation.rare_share,
            rank=distributed.rank(),
            world=distributed.world_size(),
        )
        # Class weights use the frequencies after oversampling and mixing, so that these are not compensated twice.
        drawn = self.batches.drawn_pixels([mixing] if mixing is not None else [])
        self.loss = build_loss(config.loss, described=data.description, pixel_counts=drawn)
        self.stages = stages or stages_of(config)
        self.begin_stage(1)

    def begin_stage(self, number: int, weights: dict[str, Any] | None = None) -> None:
        """Start a stage, counted from 1, from the weights in a state dict, or from the current weights of the model."""
        config, self.stage = self.config, self.stages[number - 1]
        if weights is not None:
            self.model.load_state_dict(weights)
        self.model.requires_grad_(True)
        self.model.zero_grad(set_to_none=True)  # gradients of frozen parameters must not count in the norm
        self._frozen = self.stage.frozen(self.model)
        for part in self._frozen:
            part.requires_grad_(False)
        self.average: WeightAverage | None = None
        if (decay := config.training.ema_decay) is not None:
            self.average = WeightAverage(self.model, decay)
        objective = Objective(self.model, self.loss, ignored_label=self.described.ignored_label, bf16=self.bf16)
        self.parallel = distributed.parallel(objective, self.device)
        self.optimizer = build_optimizer(dataclasses.replace(config.optimizer, lr=self.stage.lr), self.model)
        steps, epochs = self.batches.steps, self.stage.epochs
        self.schedule: Schedule = (
            build_schedule(config.schedule, self.optimizer, steps_per_epoch=steps, epochs=epochs)
            if self.stage.rates is None
            else ReplayedSchedule(self.optimizer, self.stage.rates, steps * epochs)
        )

    @property
    def evaluated(self) -> nn.Module:
        """The model that is validated and saved: the weight average if there is one, else the trained model."""
        return self.model if self.average is None else self.average.module

    @property
    def parameters(self) -> int:
        """Number of parameters of the model."""
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def learning_rate(self) -> float:
        """Current learning rate."""
        return float(self.optimizer.param_groups[0]["lr"])

    def train_epoch(self, epoch: int) -> TrainedEpoch:
        """Train on all batches of an epoch, counted from 1."""
        config = self.config.training
        torch.manual_seed(int(np.random.SeedSequence((config.seed, epoch, distributed.rank())).generate_state(1)[0]))
        self.model.train()
        for part in self._frozen:
            part.eval()
        sums = torch.zeros(2, device=self.device)
        started = time.perf_counter()
        for images, masks in self.batches.shuffled(config.seed, epoch, self.changes):
            self.optimizer.zero_grad(set_to_none=True)
            loss = self._backward(images.contiguous(memory_format=torch.channels_last), masks)
            norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.grad_clip)
            self.optimizer.step()
            self.schedule.step_batch()
            if self.average is not None:
                self.average.update_parameters(self.model)
            sums += torch.stack([loss, norm])
        distributed.share_buffers(self.evaluated)
        # The losses of the ranks are weighted, so that their mean is the loss of the whole batch. All norms are equal.
        loss_sum, norm_sum = (distributed.all_sum(sums) / distributed.world_size()).tolist()
        seconds = time.perf_counter() - started
        return TrainedEpoch(
            loss=loss_sum / self.batches.steps,
            gradient_norm=norm_sum / self.batches.steps,
            images_per_second=self.batches.steps * self.batches.batch_size / seconds,
            seconds=seconds,
        )

    def _backward(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Compute the gradients of a batch. Returns this rank's share of the loss, times the world size: a scalar."""
        if distributed.world_size() == self.micro_batches == 1:
            loss = self.parallel(images, masks).sum()
            loss.backward()
            return loss.detach()
        # The mean over the pixels of a part is weighted by its share of the pixels of all parts and ranks.
        count = min(self.micro_batches, self.batches.batch_size // distributed.world_size())  # the same on every rank
        parts = list(zip(images.tensor_split(count), masks.tensor_split(count), strict=True))
        counts = [torch.stack([self.loss.pixels(part), part.new_full((), part.numel())]) for _, part in parts]
        everywhere = distributed.all_sum(torch.stack(counts).sum(0)).clamp(min=1)
        total = torch.zeros((), device=self.device)
        for (part_images, part_masks), pixels in zip(parts, counts, strict=True):
            loss = (self.parallel(part_images, part_masks) * (pixels * distributed.world_size() / everywhere)).sum()
            loss.backward()
            total += loss.detach()
        return total

    def state_dict(self) -> dict[str, Any]:
        """Return all state that changes in training, to resume after an epoch."""
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Load the state of `state_dict`, after `begin_stage` for the same stage."""
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
