"""Batches of images and masks, as a pure function of (seed, epoch): a resumed or distributed run sees the same ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

if TYPE_CHECKING:
    from trainables.data import PreparedData

COUNTED_EPOCHS = 8
COUNTED_IMAGES = 1024
COUNTED_SEED = 2**32
"""Of the draws by which pixels are counted; no training has it."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(make: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """`map(make, items)` with the next result made in a thread while the caller works on this one."""
    with ThreadPoolExecutor(1, thread_name_prefix="batches") as pool:
        pending = None
        for item in items:
            following = pool.submit(make, item)
            if pending is not None:
                yield pending.result()
            pending = following
        if pending is not None:
            yield pending.result()


Transform = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""Of (image, mask, seed) to another image and mask; a pure function."""


def _changed(
    image: np.ndarray, mask: np.ndarray, seed: int, changes: Sequence[Transform]
) -> tuple[np.ndarray, np.ndarray]:
    for change in changes:
        image, mask = change(image, mask, seed)
    return image, mask


class Batches:
    """Reads batches of the given images of a data set and brings them to a device.

    Args:
        data: the data set.
        indices: (K,) the images to draw from.
        batch_size: images a batch, over all ranks together.
        device: where the batches go.
        oversampling: in training, images that hold the rarest class come this many times as often as the others.
        rare_share: at least this part of the images of each training batch hold the rarest class, if any image does.
        rank, world: this process's share: every `world`-th image of each batch, from `rank` on.
    """

    def __init__(
        self,
        data: PreparedData,
        indices: np.ndarray,
        *,
        batch_size: int,
        device: torch.device,
        oversampling: int = 1,
        rare_share: float = 0.0,
        rank: int = 0,
        world: int = 1,
    ):
        self.data, self.indices, self.device = data, indices, device
        self.batch_size = min(batch_size, len(indices))
        self.rank, self.world = rank, world
        self._rare = indices[data.holds(indices, data.rarest_label)] if oversampling > 1 or rare_share else indices[:0]
        self._pool = np.repeat(indices, np.where(np.isin(indices, self._rare), oversampling, 1))
        self._rare_a_batch = math.ceil(rare_share * self.batch_size) if len(self._rare) else 0
        if self.batch_size < world:
            raise ValueError(f"a batch of {self.batch_size} images cannot be shared by {world} workers")

    def shuffled(
        self, seed: int, epoch: int, changes: Sequence[Transform] = ()
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Training batches of one epoch: images (N, 1, H, W) float32 in [0, 1] and masks (N, H, W) int64.

        Each epoch has its own order, of as many images as there are: those that do not fill a last batch are left out,
        and as many as come again with oversampling or a share of rare ones. What `changes`, one after the other, make
        of an image depends on (seed, epoch, its place in the order) alone, not on which rank it falls to.
        """
        rng = np.random.default_rng((seed, epoch))
        order = self._order(rng)
        seeds = rng.integers(2**31, size=len(order))

        def make(step: int) -> tuple[np.ndarray, np.ndarray]:
            places = slice(step * self.batch_size + self.rank, (step + 1) * self.batch_size, self.world)
            rows = order[places]
            images, masks = self.data.images[rows], self.data.masks[rows]
            if changes:
                pairs = [
                    _changed(image, mask, int(image_seed), changes)
                    for image, mask, image_seed in zip(images, masks, seeds[places], strict=True)
                ]
                images, masks = np.stack([image for image, _ in pairs]), np.stack([mask for _, mask in pairs])
            return images, masks

        for images, masks in prefetch(make, range(self.steps)):
            yield self.to_device(images, masks)

    def _order(self, rng: np.random.Generator) -> np.ndarray:
        """(steps * batch_size,) indices of one epoch's images, batch after batch."""
        order = rng.permutation(self._pool)[: self.steps * self.batch_size]
        if self._rare_a_batch:
            # Rare-class sampling (Hoyer et al. 2022, "DAFormer", section 3.2, for one class): others give way, from the
            # batch's end, and the rare ones come in turns.
            batches = order.reshape(self.steps, self.batch_size)
            turns = -(-self.steps * self._rare_a_batch // len(self._rare))
            rare = iter(np.concatenate([rng.permutation(self._rare) for _ in range(turns)]))
            for batch in batches:
                others = np.flatnonzero(~np.isin(batch, self._rare))
                lacking = self._rare_a_batch - (len(batch) - len(others))
                for place in others[::-1][: max(0, lacking)]:
                    batch[place] = next(rare)
        return order

    def drawn_pixels(self, changes: Sequence[Transform] = ()) -> np.ndarray:
        """(num_classes,) pixels of each class that training draws, of as many images as there are.

        Without oversampling, a share of rare images, or `changes` that say what an image's labels become, these are the
        images' own. Otherwise they are counted in a few epochs' orders, and what the changes bring in some of their
        images.
        """
        counts = self.data.pixel_counts(self.indices).astype(np.float64)
        if len(self._rare):
            orders = [self._order(np.random.default_rng((COUNTED_SEED, epoch))) for epoch in range(COUNTED_EPOCHS)]
            drawn = np.concatenate(orders)
            counts = self.data.pixel_counts(drawn) * (len(self.indices) / len(drawn))
        else:
            drawn = self.indices
        if changes:
            rows = np.random.default_rng(COUNTED_SEED).choice(drawn, COUNTED_IMAGES)
            gained = np.zeros(len(counts))
            for seed, row in enumerate(rows):
                mask = self.data.masks[row]
                changed = _changed(self.data.images[row], mask, seed, changes)[1]
                if changed is not mask:
                    gained += np.bincount(changed.ravel(), minlength=len(counts))
                    gained -= np.bincount(mask.ravel(), minlength=len(counts))
            # A few images say little about what a rare class loses: half of it stays in any case.
            counts = np.maximum(counts + gained * (len(self.indices) / COUNTED_IMAGES), counts / 2)
        return counts

    def in_order(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Every image of this rank once, in order; shapes and types as `shuffled`."""
        rows = self.indices[self.rank :: self.world]
        for start in range(0, len(rows), self.batch_size):
            chosen = rows[start : start + self.batch_size]
            yield self.to_device(self.data.images[chosen], self.data.masks[chosen])

    def to_device(self, images: np.ndarray, masks: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        return (
            images_to_device(images, self.data.scale, self.device),
            torch.from_numpy(masks).to(self.device, non_blocking=True).long(),
        )

    @property
    def steps(self) -> int:
        """Full batches in the images."""
        return steps_of(len(self.indices), self.batch_size)


def steps_of(images: int, batch_size: int) -> int:
    """Optimizer steps an epoch: the full batches in so many images, at least one."""
    return images // min(batch_size, images)


def images_to_device(images: np.ndarray, scale: float, device: torch.device) -> torch.Tensor:
    """Stored pixels (N, H, W) to network input (N, 1, H, W) float32 in [0, 1]; they travel in their stored type."""
    return torch.from_numpy(images).to(device, non_blocking=True).float().mul_(scale).unsqueeze(1)
