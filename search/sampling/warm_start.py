"""Starting points of a search: the systems of the two reports, or the best configurations of another study.

The best configurations of another study become first points; its scores do not become observations. Scores on other
data, or with other lengths or network sizes, are not comparable, and their weight would have to be guessed. A first
point is tried again: it costs a few epochs if it is not good here, and the sampler learns from the score that it gets
here. `tests/benchmarks/search_quality.py` measures the benefit.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.ledger.ledger import Ledger
from search.ledger.ranking import ranked
from search.study.space import Space
from search.study.systems import system_points

SYSTEMS = "systems"
TAKEN_OVER = 5
"""Number of best configurations that are taken from another study."""


def starting_points(origin: str, space: Space, folder: Path) -> list[dict[str, Any]]:
    """Return points of the space, the most promising first, each as near to its origin as the space allows.

    Args:
        origin: "systems", or another study: its folder, or its name if its folder is beside the new one.
        space: space of the new study.
        folder: folder of the new study.

    Raises:
        ValueError: if there is no such study, or none of its trials has a score.
    """
    if origin == SYSTEMS:
        return system_points(space)
    path, beside = Path(origin), folder.parent / origin
    if not path.exists() and beside.exists():
        path = beside
    if path.resolve() == folder.resolve():
        raise ValueError(f"--start-from {origin}: is the study itself")
    try:
        best = ranked(Ledger.open(path).records())
    except ValueError as error:
        raise ValueError(f"--start-from {error}") from error
    if not best:
        raise ValueError(f"--start-from {origin}: no trial of that study has a score yet")
    points: list[dict[str, Any]] = []
    for record in best:
        if (point := space.nearest(record.config)) not in points:
            points.append(point)
    return points[:TAKEN_OVER]
