"""Which trials continue: the schedulers by name, and what each of them answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

# The command line lists the names: what a scheduler needs is imported when one is made.
if TYPE_CHECKING:
    from search.ledger.ledger import Ledger
    from search.study.settings import StudySettings


class Scheduler(Protocol):
    """One of Ray Tune's, whose decisions the ledger records. Trials are known by number, to Tune by an id."""

    stopped: set[str]
    """Tune's ids of the trials that were stopped for good."""
    paused: set[str]
    """Tune's ids of the trials that were paused."""
    audited: dict[int, int]
    """By number of a trial that runs on, the epoch after which it was to be stopped or paused."""
    overdue: list[int]
    """Running trials that an earlier driver had decided to end, and has not ended."""

    @property
    def waiting(self) -> list[int]:
        """Numbers of the paused trials."""
        ...

    @property
    def promotable(self) -> bool:
        """Whether a paused trial is to resume when no new trial follows."""
        ...

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None: ...

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Tune's word for what becomes of a trial after an epoch."""
        ...

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None: ...

    def promote(self, *, last: bool = False) -> int | None:
        """The paused trial to resume next, if there is one; `last`: no new trial follows."""
        ...

    def pop_evicted(self) -> list[int]:
        """Numbers of the paused trials that end because others in their rung are better; each comes once."""
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
"""Name to builder(ledger, settings, audit=part of the trials that run on though they would be stopped or paused)."""


def scheduler_for(ledger: Ledger, settings: StudySettings, *, audit: float = 0.0) -> Scheduler:
    """The scheduler of a study, with its rungs as the ledger tells them.

    Raises:
        ValueError: if the settings name one that there is not.
    """
    if settings.scheduler not in SCHEDULERS:
        raise ValueError(f"scheduler {settings.scheduler!r} is unknown: known are {', '.join(SCHEDULERS)}")
    return SCHEDULERS[settings.scheduler](ledger, settings, audit=audit)
