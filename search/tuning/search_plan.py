"""The plan of one run of a study: what it searches, how far, and on how much of the cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from search.sampling.proposer import Fits
from search.study.settings import StudySettings
from search.study.space import Space
from trainables.launching.launchers import Launcher


@dataclass(frozen=True, kw_only=True)
class SearchPlan:
    """One run of a study."""

    folder: Path
    settings: StudySettings
    space: Space
    sampler: str
    first: tuple[dict[str, Any], ...] = ()
    """Points of the space to try before those that the sampler proposes."""
    budget: int
    launcher: Launcher
    concurrent: int
    """Maximum number of concurrent trials."""
    slots: Callable[[], int] | None = None
    """Returns the number of concurrent trials allowed now, where other studies share the cluster."""
    max_failures: int = 2
    """How often a trial may fail and resume."""
    audit: float = 0.0
    """Probability that a trial continues when ASHA would stop or pause it."""
    fits: Fits = lambda config: True
    """Returns whether a configuration can be trained on the cluster's devices."""
    joined: bool = False
    """Whether the run has joined a running cluster; otherwise Ray was started for this run."""
    hang_timeout: float | None = None
    """Seconds without a report after which a trial's process is killed; None: depends on the trial's own epochs."""
    node_timeout: float | None = None
    """Seconds without a node that could run a trial after which the run ends; None: depends on `joined`."""
