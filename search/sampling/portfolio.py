"""The portfolio: the four configurations that a search begins with.

Each contains something that mattered in the two reports and in public solutions of the competition. All of them leave
the ignored class out of the loss and use flips. The first adds a share of rare images and moderate class weights, for
the rarest class (`tests/benchmarks/rare_class.py` compares them), the second a smaller share alone, the third context
of the whole image, the fourth a loss that is close to the score. They were picked by hand.
`tests/benchmarks/portfolio.py` measures such candidates on four data sets and chooses greedily; its choice has not
replaced them yet. After them, the sampler proposes configurations, and learns from the portfolio's trials as from all
others.
"""

from __future__ import annotations

from typing import Any

from search.study.space import Scalar, Space
from trainables.config import TrialConfig

_BASE: dict[str, Scalar] = {
    "model.depth": 3,
    "model.width": 16,
    "optimizer.name": "adamw",
    "optimizer.lr": 3e-3,
    "optimizer.weight_decay": 1e-2,
    "schedule.name": "onecycle",
    "training.batch_size": 16,
    "augmentation.name": "flips",
}
PORTFOLIO: tuple[dict[str, Scalar], ...] = (
    {
        **_BASE,
        "augmentation.rare_share": 0.25,
        "augmentation.copy_paste": 0.05,
        "loss.name": "weighted_cross_entropy",
        "loss.class_weight_exponent": 0.3,
        "loss.class_weight_cap": 30.0,
    },
    {**_BASE, "augmentation.rare_share": 0.125, "augmentation.copy_paste": 0.05},
    {**_BASE, "model.depth": 4, "model.bottleneck": "psp", "model.class_head": "gate"},
    {
        **_BASE,
        "model.block": "residual_se",
        "loss.name": "cross_entropy+lovasz_softmax",
        "augmentation.rare_share": 0.125,
    },
)
"""In the flat form of `TrialConfig`; a value that a profile lacks is replaced by the nearest."""


def portfolio_points(space: Space) -> list[dict[str, Any]]:
    """Return the points of the space that are nearest to the portfolio's configurations, without duplicates."""
    points: list[dict[str, Any]] = []
    for config in PORTFOLIO:
        whole = TrialConfig.from_flat(config).to_flat()  # what is not set takes its default, and is not sampled
        if (point := space.nearest(whole)) not in points:
            points.append(point)
    return points
