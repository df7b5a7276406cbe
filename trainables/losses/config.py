"""Settings of the training loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from trainables.losses.registry import LOSSES
from trainables.validation import PLUS, check, check_names, resolve_parameters


@dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The training loss: one or more keys of `LOSSES`, and their parameters."""

    name: str = "cross_entropy"
    """A key, or several joined by a plus: "focal+dice" is the weighted sum of both."""
    term_weights: tuple[float, ...] | None = field(default=None, metadata={"flat": (":", float)})
    """Weights of the terms of a sum, above 0 (default: 1 each). Only with several losses."""
    learn_ignored: bool = False
    """Train on pixels of the ignored label as on any other class. The score excludes them in any case."""
    parameters: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Parameters of the losses by name (see `LOSSES`). Missing ones take their defaults."""
    REGISTRY: ClassVar = LOSSES

    def __post_init__(self) -> None:
        check_names(self, "name", tuple(LOSSES))
        resolve_parameters(self, LOSSES)
        terms = self.name.split(PLUS)
        if self.term_weights is None and len(terms) > 1:
            object.__setattr__(self, "term_weights", (1.0,) * len(terms))
        if self.term_weights is not None:
            object.__setattr__(self, "term_weights", tuple(map(float, self.term_weights)))
            ok = len(terms) > 1 and len(self.term_weights) == len(terms)
            check(self, "term_weights", ok, f"must have one weight for each term of a sum; the loss is {self.name!r}")
            ok = all(math.isfinite(weight) and weight > 0 for weight in self.term_weights)
            check(self, "term_weights", ok, "must be positive numbers")
