"""Batches of images and masks, as a pure function of (seed, epoch): a resumed or distributed run sees the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

if TYPE_CHECKING:
    from trainables.data import PreparedData

Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(make: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
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


Change = Callable[[np.ndarray, np.ndarray, int], tuple[np.ndarray, np.ndarray]]
"""Of (image, mask, seed) to another image and mask; a pure function."""


def _changed(
    image: np.ndarray, mask: np.ndarray, seed: int, changes: Sequence[Change]
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
        rank: int = 0,
        world: int = 1,
    ):
        self.data, self.indices, self.device = data, indices, device
        self.batch_size = min(batch_size, len(indices))
        self.rank, self.world = rank, world
        repeats = np.where(data.holds(indices, data.rarest_label), oversampling, 1) if oversampling > 1 else 1
        self._pool = np.repeat(indices, repeats)
        if self.batch_size < world:
            raise ValueError(f"a batch of {self.batch_size} images cannot be shared by {world} workers")

    def shuffled(
        self, seed: int, epoch: int, changes: Sequence[Change] = ()
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Training batches of one epoch: images (N, 1, H, W) float32 in [0, 1] and masks (N, H, W) int64.

        Each epoch has its own order, of as many images as there are: those that do not fill a last batch are left out,
        and with oversampling as many as come again. What `changes`, one after the other, make of an image depends
        on (seed, epoch, its place in the order) alone, not on which rank it falls to.
        """
        rng = np.random.default_rng((seed, epoch))
        order = rng.permutation(self._pool)[: self.steps * self.batch_size]
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

        for images, masks in ahead(make, range(self.steps)):
            yield self.to_device(images, masks)

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
        return len(self.indices) // self.batch_size


def images_to_device(images: np.ndarray, scale: float, device: torch.device) -> torch.Tensor:
    """Stored pixels (N, H, W) to network input (N, 1, H, W) float32 in [0, 1]; they travel in their stored type."""
    return torch.from_numpy(images).to(device, non_blocking=True).float().mul_(scale).unsqueeze(1)
