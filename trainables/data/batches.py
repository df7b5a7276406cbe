"""Batches of images and masks, as a pure function of (seed, epoch): the same in a resumed or distributed run.

Where images are not as large as a crop, a training batch consists of random crops, and an evaluation batch of tiles.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from trainables.data.description import NOTHING_IGNORED
from trainables.data.sizes.crops import mirror_padded, random_crop, tiles_of

if TYPE_CHECKING:
    from trainables.data import PreparedData

COUNTED_EPOCHS = 8
"""Number of epochs whose images are drawn to count pixels."""
COUNTED_IMAGES = 1024
"""Number of images or crops that are augmented to count pixels."""
NOT_COUNTED = NOTHING_IGNORED
"""Label of the pixels of a tile that count in another tile, or are no pixels of the image."""
CROPPED = 2
"""Follows an image's seed in that of its crop; other numbers follow it in those of what changes the crop."""
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


@dataclass(frozen=True)
class Draws:
    """Images, or crops of images, that are drawn one after the other."""

    rows: np.ndarray
    """(K,) indices of the images."""
    aimed: np.ndarray
    """(K,) bool: whether a crop is one around a pixel of the rarest class."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: np.ndarray | slice) -> Draws:
        return Draws(self.rows[places], self.aimed[places])


class Batches:
    """Reads batches of the given images of a data set and copies them to a device.

    Args:
        data: the data set.
        indices: (K,) the images to draw from.
        batch_size: images (or crops) per batch, summed over all ranks; reduced to their number if there are fewer.
        device: the device to copy the batches to.
        oversampling: in training, images with the rarest class are drawn this many times as often as others. Crops of
            the additional draws hold a pixel of the class.
        rare_share: minimum fraction, in [0, 1), of images with the rarest class, or of crops that hold it, in each
            training batch, if there are any.
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
        times = data.crops(indices)
        self._count = int(times.sum())
        self.batch_size = min(batch_size, self._count)
        self.rank, self.world = rank, world
        self._rare = indices[data.holds(indices, data.rarest_label)] if oversampling > 1 or rare_share else indices[:0]
        often = times * np.where(np.isin(indices, self._rare), oversampling, 1)
        first = np.repeat(often.cumsum() - often, often)
        self._pool = Draws(
            rows=np.repeat(indices, often), aimed=np.arange(often.sum()) - first >= np.repeat(times, often)
        )
        self._rare_a_batch = math.ceil(rare_share * self.batch_size) if len(self._rare) else 0
        self.steps = steps_of(self._count, batch_size) if self._count else 0
        """Number of training batches per epoch."""

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
            drawn = order[places]
            if not changes and self.data.whole:
                return self.data.images[drawn.rows], self.data.masks[drawn.rows]
            pairs = [
                _changed(*pair, int(image_seed), changes)
                for pair, image_seed in zip(self._pairs(drawn, seeds[places]), seeds[places], strict=True)
            ]
            return np.stack([image for image, _ in pairs]), np.stack([mask for _, mask in pairs])

        for images, masks in prefetch(make, range(self.steps)):
            yield self.to_device(images, masks)

    def _pairs(self, drawn: Draws, seeds: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the images, or random crops of them, and their masks; what is drawn depends on the seeds (K,) alone."""
        for row, aimed, seed in zip(drawn.rows.tolist(), drawn.aimed.tolist(), seeds.tolist(), strict=True):
            around = self.data.rarest_label if aimed else None
            yield random_crop(self.data, row, np.random.default_rng((seed, CROPPED)), around=around)

    def _order(self, rng: np.random.Generator) -> Draws:
        """Return what one epoch draws, batch after batch: steps * batch_size images or crops."""
        order = self._pool[rng.permutation(len(self._pool))[: self.steps * self.batch_size]]
        if self._rare_a_batch:
            # Rare-class sampling (Hoyer et al. 2022, "DAFormer", section 3.2, for one class): rare images, in random
            # order, replace others from the end of the batch.
            shape = (self.steps, self.batch_size)
            turns = -(-self.steps * self._rare_a_batch // len(self._rare))
            rare = iter(np.concatenate([rng.permutation(self._rare) for _ in range(turns)]))
            for rows, aimed in zip(order.rows.reshape(shape), order.aimed.reshape(shape), strict=True):
                # Any crop of an image with the class may miss it, but one that is aimed at it.
                others = np.flatnonzero(~(np.isin(rows, self._rare) if self.data.whole else aimed))
                lacking = self._rare_a_batch - (len(rows) - len(others))
                for place in others[::-1][: max(0, lacking)]:
                    rows[place], aimed[place] = next(rare), True
        return order

    def drawn_pixels(self, changes: Sequence[Transform] = ()) -> np.ndarray:
        """Return the pixels of each class that an epoch draws, scaled to as many images as there are: (num_classes,).

        Without oversampling, `rare_share` and `changes` (transforms that alter labels) these are the counts of the
        images. Otherwise they are estimated: from the orders of a few epochs, from a sample of the crops, if some are
        aimed at the rarest class, and from the effect of `changes` on a sample of the images.
        """
        counts = self.data.pixel_counts(self.indices).astype(np.float64)
        drawn, aimed = self._pool, not self.data.whole and len(self._rare) > 0
        if len(self._rare):
            orders = [self._order(np.random.default_rng((COUNTED_SEED, epoch))) for epoch in range(COUNTED_EPOCHS)]
            drawn = Draws(*(np.concatenate([getattr(order, name) for order in orders]) for name in ("rows", "aimed")))
            if self.data.whole:
                counts = self.data.pixel_counts(drawn.rows) * (len(self.indices) / len(drawn))
        if changes or aimed:
            sample = drawn[np.random.default_rng(COUNTED_SEED).choice(len(drawn), COUNTED_IMAGES)]
            gained = np.zeros(len(counts))
            for seed, (image, mask) in enumerate(self._pairs(sample, np.arange(COUNTED_IMAGES))):
                changed = _changed(image, mask, seed, changes)[1]
                if aimed or changed is not mask:
                    gained += np.bincount(changed.ravel(), minlength=len(counts))
                    gained -= 0 if aimed else np.bincount(mask.ravel(), minlength=len(counts))
            gained *= self._count / COUNTED_IMAGES
            # The estimate is noisy for rare classes: a class keeps at least half of its pixels.
            counts = np.maximum(gained if aimed else counts + gained, counts / 2)
        return counts

    def in_order(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield every image of this rank once, in order, with the shapes and dtypes of `shuffled`.

        A batch has up to `batch_size` images of the rank. Ranks beyond the number of images have no batch.

        Where images are not as large as a crop, these are their tiles (`tiles_of`), whose masks hold NOT_COUNTED where
        a pixel counts in another tile, or is none of the image.
        """
        if not self.data.whole:
            yield from self._tiles()
            return
        rows = self.indices[self.rank :: self.world]
        for start in range(0, len(rows), max(1, self.batch_size)):
            chosen = rows[start : start + self.batch_size]
            yield self.to_device(self.data.images[chosen], self.data.masks[chosen])

    def _tiles(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        sizes = self.data.sizes[self.indices].tolist()
        tiles = [
            tile
            for index, (height, width) in zip(self.indices.tolist(), sizes, strict=True)
            for tile in tiles_of(index, (height, width), self.data.crop)
        ][self.rank :: self.world]

        def make(start: int) -> tuple[np.ndarray, np.ndarray]:
            images, masks = [], []
            for tile in tiles[start : start + self.batch_size]:
                images.append(mirror_padded(self.data.images[tile.index][tile.box], self.data.crop))
                masks.append(mask := np.full(self.data.crop, NOT_COUNTED, np.int64))
                mask[tile.counted] = self.data.masks[tile.index][tile.box][tile.counted]
            return np.stack(images), np.stack(masks)

        for images, masks in prefetch(make, range(0, len(tiles), max(1, self.batch_size))):
            yield self.to_device(images, masks)

    def to_device(self, images: np.ndarray, masks: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Copy stored images (N, H, W[, C]) and masks (N, H, W) to the device, with shapes and dtypes of `shuffled`."""
        return (
            self.data.pixels.to_device(images, self.device),
            torch.from_numpy(masks).to(self.device, non_blocking=True).long(),
        )


def steps_of(images: int, batch_size: int) -> int:
    """Return the number of optimizer steps per epoch: the full batches in so many images or crops, at least 1."""
    return images // min(batch_size, images)
