"""Which score of a trial early stopping compares: that of an epoch alone is noisy."""

from __future__ import annotations

RUNG_METRICS = ("last", "best", "ema")
EMA_STEP = 0.5
"""Weight of the newest epoch in the moving average."""


class RungMetric:
    """The score of each trial as it is judged by, epoch for epoch.

    Args:
        kind: "last": of the epoch itself; "best": the best so far; "ema": an exponential moving average.
    """

    def __init__(self, kind: str):
        assert kind in RUNG_METRICS
        self.kind = kind
        self._past: dict[int, float] = {}

    def __call__(self, number: int, score: float) -> float:
        """Take the next epoch's score of that trial in; returns what it is judged by."""
        past = self._past.get(number, score)
        if self.kind == "best":
            score = max(past, score)
        elif self.kind == "ema":
            score = past + EMA_STEP * (score - past)
        self._past[number] = score
        return score
