"""A model in training: everything that changes from step to step, and one epoch of it."""

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
from trainables.data.description import NOTHING_IGNORED
from trainables.device import place, uses_bf16
from trainables.losses import build_loss
from trainables.models import build_model
from trainables.optim.optimizers import build_optimizer
from trainables.optim.schedules import ReplayedSchedule, Schedule, build_schedule
from trainables.training.objective import Objective
from trainables.training.stages import Stage
from trainables.training.stages import stages as stages_of
from trainables.training.weight_average import WeightAverage


@dataclass(frozen=True, kw_only=True)
class TrainedEpoch:
    """What one epoch of training measured."""

    loss: float
    gradient_norm: float
    images_per_second: float
    seconds: float


class Training:
    """A trial's model on one device, and its stage's optimizer, schedule and weight average.

    Random numbers are drawn from (seed, epoch, rank) afresh in each epoch, so `state_dict` needs no generator states:
    an epoch that starts from the same state always ends in the same state.

    Several ranks share each batch of the configuration. Its size, the learning rate and the number of steps do not
    depend on how many they are, so a group that changes its size changes nothing but its speed: scores of a search stay
    comparable, and a trial may continue with fewer workers. What each rank has for itself differs: dropout, losses over
    regions, and on CPUs batch statistics.

    Args:
        config: the trial.
        data: its data set.
        indices: (K,) the images to train on.
        device: where to compute.
        micro_batches: parts of a batch that are computed one after the other, to spare memory. Losses that are means
            over pixels have the same gradient as in one part; batch statistics, and losses over regions, are those of
            each part.
        stages: in place of the configuration's own.
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
            in_channels=1,
            num_classes=data.description.num_classes,
            ignored_label=data.description.ignored_label,
        )
        self.model = place(distributed.synchronised(model, device), device)
        mixing = build_mixing(config.augmentation, data, indices)
        augmentation = build_augmentation(config.augmentation, size=data.images.shape[1:])
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
        # Class weights make up for what is drawn, not for what the images hold: the rest would be made up for twice.
        drawn = self.batches.drawn_pixels([mixing] if mixing is not None else [])
        self.loss = build_loss(config.loss, described=data.description, pixel_counts=drawn)
        self.stages = stages or stages_of(config)
        self.begin_stage(1)

    def begin_stage(self, number: int, weights: dict[str, Any] | None = None) -> None:
        """Start the stage of that number, counted from 1, from these weights or from those that the model has."""
        config, self.stage = self.config, self.stages[number - 1]
        if weights is not None:
            self.model.load_state_dict(weights)
        self.model.requires_grad_(True)
        self.model.zero_grad(set_to_none=True)  # what is frozen now must not count in the gradient's norm
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
        """The model that is validated and kept: the weight average if there is one."""
        return self.model if self.average is None else self.average.module

    @property
    def parameters(self) -> int:
        return sum(parameter.numel() for parameter in self.model.parameters())

    @property
    def learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def train_epoch(self, epoch: int) -> TrainedEpoch:
        """Train on every batch of the epoch, counted from 1."""
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
        # Each rank's loss carries its weight, so their mean is the loss of the whole batch; the norms are equal.
        loss_sum, norm_sum = (distributed.all_sum(sums) / distributed.world_size()).tolist()
        seconds = time.perf_counter() - started
        return TrainedEpoch(
            loss=loss_sum / self.batches.steps,
            gradient_norm=norm_sum / self.batches.steps,
            images_per_second=self.batches.steps * self.batches.batch_size / seconds,
            seconds=seconds,
        )

    def _backward(self, images: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Add up the gradients of the batch. Returns its loss, a scalar: this rank's part of it, times the ranks."""
        if distributed.world_size() == self.micro_batches == 1:
            loss = self.parallel(images, masks).sum()
            loss.backward()
            return loss.detach()
        # Each part's mean over its pixels counts in the mean over all parts' and ranks' pixels.
        left_out = NOTHING_IGNORED if self.config.loss.learn_ignored else self.described.ignore_index
        count = min(self.micro_batches, self.batches.batch_size // distributed.world_size())  # the same on every rank
        parts = list(zip(images.tensor_split(count), masks.tensor_split(count), strict=True))
        counts = [torch.stack([(part != left_out).sum(), part.new_full((), part.numel())]) for _, part in parts]
        everywhere = distributed.all_sum(torch.stack(counts).sum(0)).clamp(min=1)
        total = torch.zeros((), device=self.device)
        for (part_images, part_masks), pixels in zip(parts, counts, strict=True):
            loss = (self.parallel(part_images, part_masks) * (pixels * distributed.world_size() / everywhere)).sum()
            loss.backward()
            total += loss.detach()
        return total

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
