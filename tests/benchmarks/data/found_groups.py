"""Measure how well overlapping tiles are found: `python tests/benchmarks/data/found_groups.py [--data mars.npz]`.

Two tiles are cut from each frame so that they share a stated part of their area. Frames are made, or, with `--data`,
the images of a data set. A pair of tiles is found if both are in one group. Recall is the share of the frames whose
pair is found; precision is the share of the pairs found that are of one frame. Frames of real data may overlap
themselves, so the pairs of different frames are also counted without those whose whole frames are in one group.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from trainables.data import DataSource, prepare
from trainables.data.grouping.look_alikes import look_alikes

TILE = (40, 64)
FRAME = (64, 128)
SHARES = (0.25, 0.33, 0.5, 0.75)
"""Parts of their area that two tiles share."""
TOLERANCE = 0.02


def made_frames(count: int, rng: np.random.Generator) -> np.ndarray:
    """Return frames (count, 64, 128) uint8 of several textures, each noise of several scales in its own proportions."""
    frames = []
    for _ in range(count):
        frame = np.zeros(FRAME, np.float32)
        for cell in (2, 4, 8, 16, 32):
            coarse = rng.standard_normal((FRAME[0] // cell + 3, FRAME[1] // cell + 3)).astype(np.float32)
            frame += rng.uniform(0, 12) * cv2.resize(coarse, FRAME[::-1], interpolation=cv2.INTER_CUBIC)
        frames.append(np.clip(rng.uniform(80, 160) + frame, 0, 255).astype(np.uint8))
    return np.stack(frames)


def cut(frame: np.ndarray, share: float, rng: np.random.Generator) -> list[np.ndarray]:
    """Return two tiles of a frame that share about this part of their area."""
    (height, width), (rows, columns) = TILE, np.array(frame.shape[:2]) - TILE
    steps = [
        (row, column)
        for row in range(rows + 1)
        for column in range(columns + 1)
        if abs((height - row) * (width - column) / (height * width) - share) <= TOLERANCE
    ]
    row, column = steps[rng.integers(len(steps))]
    top, left = rng.integers(rows - row + 1), rng.integers(columns - column + 1)
    mirrored = bool(rng.integers(2))  # whether the second tile is to the lower left, and not to the lower right
    places = [(top, left + column * mirrored), (top + row, left + column * (not mirrored))]
    return [frame[y : y + height, x : x + width] for y, x in places]


def noisy(tile: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.clip(np.rint(tile + rng.normal(0, 2, tile.shape)), 0, 255).astype(np.uint8)


def compressed(tile: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    _, content = cv2.imencode(".jpg", tile, [cv2.IMWRITE_JPEG_QUALITY, 90])
    return cv2.imdecode(content, cv2.IMREAD_UNCHANGED)


CHANGES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "none": lambda tile, rng: tile,
    "noise of 2 grey levels": noisy,
    "JPEG, quality 90": compressed,
}


def measured(
    frames: np.ndarray, alike: np.ndarray, share: float, change: Callable[[np.ndarray, np.random.Generator], np.ndarray]
) -> tuple[float, float, int, int, float]:
    """Return recall, precision, pairs of different frames, those whose frames are not alike, and seconds.

    Args:
        frames: (N, H, W) uint8.
        alike: (N,) the group of each whole frame.
        share: part of their area that two tiles share.
        change: applied to each tile.
    """
    rng = np.random.default_rng(0)
    tiles = [change(tile, rng) for frame in frames for tile in cut(frame, share, rng)]
    of = np.repeat(np.arange(len(frames)), 2)
    order = rng.permutation(len(tiles))
    began = time.process_time()
    found = look_alikes(np.stack([tiles[place] for place in order]))
    seconds = time.process_time() - began
    groups = np.empty_like(found)
    groups[order] = found
    together = int((groups[::2] == groups[1::2]).sum())
    across = unexplained = 0
    for group in np.flatnonzero(np.bincount(groups) > 1):
        members = of[groups == group]
        first, second = np.triu_indices(len(members), 1)
        different = members[first] != members[second]
        across += int(different.sum())
        unexplained += int((different & (alike[members[first]] != alike[members[second]])).sum())
    return together / len(frames), together / max(1, together + across), across, unexplained, seconds


def main() -> None:
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--data", help="cut the images of this data set, which has images of 64x128; default: made frames")
    top.add_argument("--frames", type=int, default=1000, help="number of frames (default: 1000)")
    options = top.parse_args()
    rng = np.random.default_rng(1)
    if options.data is None:
        frames = made_frames(options.frames, rng)
    else:
        images = prepare(DataSource(uri=options.data)).images
        frames = images[np.sort(rng.permutation(len(images))[: options.frames])]
    began = time.process_time()
    alike = look_alikes(frames)
    console = Console()
    console.print(
        f"{len(frames)} frames of {FRAME[0]}x{FRAME[1]}, in {len(np.unique(alike))} groups themselves, found in "
        f"{time.process_time() - began:.1f} s of one core; two tiles of {TILE[0]}x{TILE[1]} of each"
    )
    table = Table(
        "tiles share", "change", "recall", "precision", "pairs across frames", "of these unexplained", "CPU seconds"
    )
    for change, function in CHANGES.items():
        for share in SHARES:
            recall, precision, across, unexplained, seconds = measured(frames, alike, share, function)
            table.add_row(
                f"{share:.0%}",
                change,
                f"{recall:.3f}",
                f"{precision:.3f}",
                *map(str, (across, unexplained)),
                f"{seconds:.1f}",
            )
    console.print(table)


if __name__ == "__main__":
    main()
