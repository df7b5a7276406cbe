"""The rung metric: the score by which ASHA compares trials. The score of a single epoch is noisy."""

from __future__ import annotations

RUNG_METRICS = ("last", "best", "ema")
EMA_STEP = 0.5
"""Weight of the newest epoch in the moving average."""


class RungMetric:
    """Computes the rung metric of each trial, epoch by epoch.

    Args:
        kind: "last": the epoch's own score; "best": the best so far; "ema": an exponential moving average.
    """

    def __init__(self, kind: str):
        assert kind in RUNG_METRICS
        self.kind = kind
        self._past: dict[int, float] = {}

    def __call__(self, number: int, score: float) -> float:
        """Add the score of that trial's next epoch, and return its rung metric."""
        past = self._past.get(number, score)
        if self.kind == "best":
            score = max(past, score)
        elif self.kind == "ema":
            score = past + EMA_STEP * (score - past)
        self._past[number] = score
        return score
