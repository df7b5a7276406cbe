"""Batches of images and masks, as a pure function of (seed, epoch): a resumed or distributed run sees the same ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

if TYPE_CHECKING:
    from trainables.augmentations import Augmentation
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


class Batches:
    """Reads batches of the given images of a data set and brings them to a device.

    Args:
        data: the data set.
        indices: (K,) the images to draw from.
        batch_size: images a batch, over all ranks together.
        device: where the batches go.
        rank, world: this process's share: every `world`-th image of each batch, from `rank` on.
    """

    def __init__(
        self,
        data: PreparedData,
        indices: np.ndarray,
        *,
        batch_size: int,
        device: torch.device,
        rank: int = 0,
        world: int = 1,
    ):
        self.data, self.indices, self.device = data, indices, device
        self.batch_size = min(batch_size, len(indices))
        self.rank, self.world = rank, world
        if self.batch_size < world:
            raise ValueError(f"a batch of {self.batch_size} images cannot be shared by {world} workers")

    def shuffled(
        self, seed: int, epoch: int, augmentation: Augmentation | None = None
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Training batches of one epoch: images (N, 1, H, W) float32 in [0, 1] and masks (N, H, W) int64.

        Each epoch has its own order; the images that do not fill a last batch are left out of it. An image's
        augmentation depends on (seed, epoch, image) alone, not on which rank or batch it falls to.
        """
        rng = np.random.default_rng((seed, epoch))
        order = rng.permutation(self.indices)
        image_seeds = rng.integers(2**31, size=int(self.indices.max()) + 1)

        def make(step: int) -> tuple[np.ndarray, np.ndarray]:
            rows = order[step * self.batch_size : (step + 1) * self.batch_size][self.rank :: self.world]
            images, masks = self.data.images[rows], self.data.masks[rows]
            if augmentation is not None:
                pairs = [
                    augmentation(image, mask, int(image_seeds[row]))
                    for image, mask, row in zip(images, masks, rows, strict=True)
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
