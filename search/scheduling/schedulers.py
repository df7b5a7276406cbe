"""The schedulers by name, and their common interface."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

# The command line only lists the names: a scheduler's own imports run when one is created.
if TYPE_CHECKING:
    from search.ledger.ledger import Ledger
    from search.study.settings import StudySettings


class Scheduler(Protocol):
    """A Ray Tune scheduler whose decisions the ledger records. It identifies trials by number, Tune by an id."""

    stopped: set[str]
    """Tune's ids of the trials that were stopped for good."""
    paused: set[str]
    """Tune's ids of the trials that were paused."""
    audited: dict[int, int]
    """By number of an audited trial, the epoch after which it would have been stopped or paused."""
    overdue: list[int]
    """Running trials that an earlier driver had decided to end, but did not end."""

    @property
    def waiting(self) -> list[int]:
        """Numbers of the paused trials."""
        ...

    @property
    def promotable(self) -> bool:
        """Whether a paused trial resumes when no new trial follows."""
        ...

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None: ...

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Return Tune's decision for a trial after an epoch."""
        ...

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None: ...

    def promote(self, *, last: bool = False) -> int | None:
        """Return the paused trial to resume next, or None; `last`: no new trial follows."""
        ...

    def pop_evicted(self) -> list[int]:
        """Return the numbers of the evicted trials, each of them once."""
        ...


def _asha_promotion(ledger: Ledger, settings: StudySettings, *, audit: float = 0.0) -> Scheduler:
    from search.scheduling.asha_promotion import AshaPromotion

    return AshaPromotion(ledger, settings, audit=audit)


def _asha_stopping(ledger: Ledger, settings: StudySettings, *, audit: float = 0.0) -> Scheduler:
    from search.scheduling.asha_stopping import AshaStopping

    return AshaStopping(ledger, settings, audit=audit)


SCHEDULERS: dict[str, Callable[..., Scheduler]] = {
    "asha-promotion": _asha_promotion,
    "asha-stopping": _asha_stopping,
}
"""Name to builder(ledger, settings, audit=fraction of trials that run on when they would be stopped or paused)."""


def scheduler_for(ledger: Ledger, settings: StudySettings, *, audit: float = 0.0) -> Scheduler:
    """Return the scheduler of a study, with its rungs restored from the ledger.

    Raises:
        ValueError: if the settings name an unknown scheduler.
    """
    if settings.scheduler not in SCHEDULERS:
        raise ValueError(f"unknown scheduler {settings.scheduler!r}: must be one of {', '.join(SCHEDULERS)}")
    return SCHEDULERS[settings.scheduler](ledger, settings, audit=audit)
