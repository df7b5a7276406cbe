"""Batches of images and masks, as a pure function of (seed, epoch): the same in a resumed or distributed run."""

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
"""Number of epochs whose images are drawn to count pixels."""
COUNTED_IMAGES = 1024
"""Number of images that are augmented to count pixels."""
COUNTED_SEED = 2**32
"""Seed of the draws for counting pixels; no training uses it."""

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(make: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Yield `make(item)` for each item, like `map`, and compute the next result in a thread in the meantime."""
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
"""A pure function that maps (image, mask, seed) to another image and mask."""


def _changed(
    image: np.ndarray, mask: np.ndarray, seed: int, changes: Sequence[Transform]
) -> tuple[np.ndarray, np.ndarray]:
    for change in changes:
        image, mask = change(image, mask, seed)
    return image, mask


class Batches:
    """Reads batches of the given images of a data set and copies them to a device.

    Args:
        data: the data set.
        indices: (K,) the images to draw from.
        batch_size: images per batch, summed over all ranks; reduced to K if there are fewer images.
        device: the device to copy the batches to.
        oversampling: in training, images with the rarest class are drawn this many times as often as others.
        rare_share: minimum fraction, in [0, 1), of images with the rarest class in each training batch, if there are
            any.
        rank, world: rank of this process and number of ranks; it reads every `world`-th image of each batch, starting
            at `rank`.
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

    def shuffled(
        self, seed: int, epoch: int, changes: Sequence[Transform] = ()
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield the training batches of one epoch: images (N, C, H, W) float32 and masks (N, H, W) int64.

        Each epoch has its own random order. Its length does not depend on oversampling: for each image that is drawn
        again, another one is left out. An incomplete last batch is dropped. `changes` are applied in order; their
        result depends only on the image and on (seed, epoch, position in the order), not on the rank.

        Raises:
            ValueError: if a batch has fewer images than there are ranks: each of them must train on every batch.
        """
        if self.batch_size < self.world:
            raise ValueError(f"a batch of {self.batch_size} images cannot be split among {self.world} workers")
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
        """Return the indices of the images of one epoch, batch after batch: (steps * batch_size,)."""
        order = rng.permutation(self._pool)[: self.steps * self.batch_size]
        if self._rare_a_batch:
            # Rare-class sampling (Hoyer et al. 2022, "DAFormer", section 3.2, for one class): rare images, in random
            # order, replace others from the end of the batch.
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
        """Return the pixels of each class that an epoch draws, scaled to as many images as there are: (num_classes,).

        Without oversampling, `rare_share` and `changes` (transforms that alter labels) these are the counts of the
        images. Otherwise they are estimated: from the orders of a few epochs, and from the effect of `changes` on a
        sample of their images.
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
            # The estimate is noisy for rare classes: a class keeps at least half of its pixels.
            counts = np.maximum(counts + gained * (len(self.indices) / COUNTED_IMAGES), counts / 2)
        return counts

    def in_order(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield every image of this rank once, in order, with the shapes and dtypes of `shuffled`.

        A batch has up to `batch_size` images of the rank. Ranks beyond the number of images have no batch.
        """
        rows = self.indices[self.rank :: self.world]
        for start in range(0, len(rows), max(1, self.batch_size)):
            chosen = rows[start : start + self.batch_size]
            yield self.to_device(self.data.images[chosen], self.data.masks[chosen])

    def to_device(self, images: np.ndarray, masks: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Copy stored images (N, H, W[, C]) and masks (N, H, W) to the device, with shapes and dtypes of `shuffled`."""
        return (
            self.data.pixels.to_device(images, self.device),
            torch.from_numpy(masks).to(self.device, non_blocking=True).long(),
        )

    @property
    def steps(self) -> int:
        """Number of training batches per epoch."""
        return steps_of(len(self.indices), self.batch_size)


def steps_of(images: int, batch_size: int) -> int:
    """Return the number of optimizer steps per epoch: the full batches in this number of images, at least 1."""
    return images // min(batch_size, images)
