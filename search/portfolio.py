"""What a search begins with: a few configurations that were good on data sets of several kinds.

Chosen by `tests/benchmarks/portfolio.py`, see there how: each adds to what the others are good at. After them comes
what the sampler proposes, which learns from them as from any other trial.
"""

from __future__ import annotations

from typing import Any

from search.space import Scalar, Space
from trainables.config import TrialConfig

PORTFOLIO: tuple[dict[str, Scalar], ...] = (
    {
        "model.depth": 3,
        "model.width": 16,
        "optimizer.lr": 3e-3,
        "optimizer.weight_decay": 1e-2,
        "training.batch_size": 16,
        "augmentation.name": "flips",
    },
)
"""In the flat form of `TrialConfig`, the best one first; what a profile has not is taken as near as it has."""


def portfolio_points(space: Space) -> list[dict[str, Any]]:
    """The points of the space that are nearest to the portfolio's configurations, each once."""
    points: list[dict[str, Any]] = []
    for config in PORTFOLIO:
        whole = TrialConfig.from_flat(config).to_flat()  # what is not named has its default, and is not drawn
        if (point := space.nearest(whole)) not in points:
            points.append(point)
    return points
