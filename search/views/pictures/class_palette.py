"""Colours of classes. The first eight differ also for colour-blind readers; more are shades of these."""

from __future__ import annotations

import numpy as np

SAFE = np.array(
    # The palette of Okabe and Ito (2008) without black, and the indigo of Tol's muted palette.
    [
        (230, 159, 0),
        (86, 180, 233),
        (0, 158, 115),
        (213, 94, 0),
        (0, 114, 178),
        (204, 121, 167),
        (240, 228, 66),
        (51, 34, 136),
    ],
    dtype=np.uint8,
)
"""(8, 3) RGB. Where there are more classes, a colour alone does not name one: each also needs a label."""
MOST_MIXED = 0.6
"""Largest part of white or black in a shade."""


def palette(count: int) -> np.ndarray:
    """Return (count, 3) uint8 RGB, all different up to 256: SAFE, then darker and lighter shades of it in turn."""
    rounds = -(-count // len(SAFE))
    shades = [SAFE]
    for turn in range(1, rounds):
        part = MOST_MIXED * ((turn + 1) // 2) / (rounds // 2)
        mixed_with = 0 if turn % 2 else 255
        shades.append(np.round(SAFE * (1 - part) + mixed_with * part).astype(np.uint8))
    return np.concatenate(shades)[:count]
