"""Proposes sizes of crops, networks and batches for a data set. Pure functions: the same facts, the same proposal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from trainables.data.describe.facts import DataSummary
from trainables.data.sizes.crop_size import CropSize, proposed_crop
from trainables.data.sizes.images import by

LEAST_AT_BOTTOM = 2
"""Fewest pixels of an image's shorter side that the deepest step of a network sees."""
STEP_PIXELS = 4 * 64 * 128
"""Pixels of an image up to which the largest batch of a profile is used, four times those of the images that the
profiles were made on; the images of larger batches do not fit into memory, or make a step slow."""
SMALLEST_BATCH = 2
DEPTHS = (2, 3, 4, 5)
BATCHES = (16, 32, 64)


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """Sizes that suit a data set, and a sentence about each that says why."""

    crop: CropSize
    """The crops to train on."""
    depths: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    why_depths: str
    why_batch_sizes: str

    def lines(self) -> list[str]:
        crop = "whole images" if self.crop.whole else f"crops of {by(self.crop.size)}"
        return [
            f"{crop}: {self.crop.why}",
            f"depths {'/'.join(map(str, self.depths))}: {self.why_depths}",
            f"batch sizes {'/'.join(map(str, self.batch_sizes))}: {self.why_batch_sizes}",
        ]


def propose(
    summary: DataSummary,
    *,
    crop: CropSize | None = None,
    depths: Sequence[int] = DEPTHS,
    batch_sizes: Sequence[int] = BATCHES,
) -> Proposal:
    """Propose sizes for a data set.

    Args:
        summary: the data set.
        crop: the crops, if the user gave their size.
        depths, batch_sizes: what the hardware allows, in ascending order.
    """
    crop = crop or proposed_crop(summary.sizes)
    height, width = crop.size
    chosen_depths, why_depths = suitable_depths(depths, min(height, width))
    chosen_batches, why_batches = suitable_batch_sizes(batch_sizes, height * width, summary.train_images)
    return Proposal(
        crop=crop,
        depths=chosen_depths,
        batch_sizes=chosen_batches,
        why_depths=why_depths,
        why_batch_sizes=why_batches,
    )


def suitable_depths(depths: Sequence[int], side: int) -> tuple[tuple[int, ...], str]:
    """Return the depths whose networks leave something of a side of that many pixels, and why."""
    fit = tuple(depth for depth in depths if side >= LEAST_AT_BOTTOM * 2**depth) or tuple(depths[:1])
    left = side // 2 ** fit[-1]
    if fit == tuple(depths):
        return fit, f"{fit[-1]} halvings of the shorter side, {side} pixels, leave {left}"
    return fit, f"more halvings of the shorter side, {side} pixels, would leave less than {LEAST_AT_BOTTOM}"


def suitable_batch_sizes(batch_sizes: Sequence[int], area: int, images: int) -> tuple[tuple[int, ...], str]:
    """Return as many batch sizes, if there are, of at most so many pixels and so many images, and why.

    Args:
        batch_sizes: what the hardware allows for images of up to STEP_PIXELS pixels.
        area: pixels of an image or crop.
        images: number of images to train on.
    """
    by_memory = batch_sizes[-1] * STEP_PIXELS // area
    smaller = [batch_sizes[0] >> shift for shift in range(1, batch_sizes[0].bit_length())]
    candidates = sorted({*batch_sizes, *(size for size in smaller if size >= SMALLEST_BATCH)})
    most = max(SMALLEST_BATCH, min(by_memory, images))
    fit = tuple(size for size in candidates if size <= most)[-len(batch_sizes) :] or (SMALLEST_BATCH,)
    if fit == tuple(batch_sizes):
        return fit, f"images of {area:,} pixels are small enough for these"
    if images < min(by_memory, batch_sizes[-1]):
        return fit, f"the train part has {images} images"
    return fit, f"images of {area:,} pixels take much memory and time"
