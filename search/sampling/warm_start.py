"""Where a search begins: with the systems of the two reports, or with what another study found best.

Of another study its best configurations are taken over as first points, not its scores as observations. Scores of
other data, lengths or network sizes are not comparable, and how much less they weigh is one more thing to guess; a
first point is tried anew, costs a few epochs if it is no good here, and is told to the sampler with the score that it
has here. `tests/benchmarks/search_quality.py` measures what it brings.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from search.ledger.ledger import Ledger
from search.ledger.ranking import ranked
from search.study.baselines import system_points
from search.study.space import Space

SYSTEMS = "systems"
TAKEN_OVER = 5
"""Best configurations of another study."""


def starting_points(origin: str, space: Space, folder: Path) -> list[dict[str, Any]]:
    """Points of the space, the most promising first, each as near to where it comes from as the space allows.

    Args:
        origin: "systems", or another study: its folder, or its name if it lies beside the new one.
        space: of the study that is to begin.
        folder: of that study.

    Raises:
        ValueError: if there is no such study, or nothing to learn from it.
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
