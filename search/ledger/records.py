"""The ledger's record of a trial."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from search.foreign_files import parse_json
from search.json_records import MOST, from_json
from trainables.messages import EpochReport, upgraded

STATES = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
UNFINISHED = ("running", "paused", "interrupted")
SHOWN_STATES = ("complete", "pruned", "failed", *UNFINISHED)
"""States that people are shown; only those in UNFINISHED may still change."""
CONTINUE, PAUSE, STOP, AUDIT = DECISIONS = ("continue", "pause", "stop", "audit")
"""Decisions of a scheduler after an epoch. "audit": it would stop or pause the trial, but lets it run on as a check."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A configuration that the search chose, before it becomes a trial."""

    params: dict[str, Any]
    """The space's parameters that exist in it."""
    distributions: dict[str, BaseDistribution]
    """The distributions that they were drawn from."""
    config: dict[str, Any]
    """The full configuration, in the flat form of `TrialConfig`."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A failure or loss of a trial's process."""

    kind: str
    """One of error, out_of_memory, process_lost (it died), hung (it reported nothing for too long), memory_pressure
    (its node ran out of memory), node_lost (Ray lost its node), node_unfit (its node lacks something that the driver
    has), not_started, storage."""
    epoch: int
    """The last epoch that the trial had reported."""
    message: str
    final: bool = False
    """Whether the trial is not retried after it."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What a trial's process used from its start to its end, besides its epochs; a trial that resumed has several."""

    start_seconds: float
    """Seconds until its first epoch began: process, data, model. Negative if an epoch was trained in an earlier segment
    and reported in this one: its seconds are among that segment's `wait_seconds` or `start_seconds`, if that segment
    was not killed."""
    wait_seconds: float
    """Seconds between and after its epochs."""
    cpus: float
    gpus: float
    queue_seconds: float = 0.0
    """Seconds before `start_seconds` in which a worker group waited for its resources, and held none."""
    last_epoch: int | None = None
    """The last epoch that the trial had reported when it ended. None while it runs, if its driver was killed, and in
    ledgers of earlier versions."""
    running: bool = False
    """Whether its end is not recorded: it runs, or its driver was killed and no other has resumed the trial."""
    killed: bool = False
    """Whether its driver was killed before its end: only its epochs are known. An epoch that it trained may have been
    reported in the next segment."""


@dataclass(frozen=True, kw_only=True)
class _Own:
    """User attributes that a trial has only once."""

    config: dict[str, str | bool | int | float]
    audited: int | None = None
    promoted: list[tuple[int, int]] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Decided:
    """What an epoch's entry holds besides its report."""

    decision: str | None = None
    ends: list[int] = field(default_factory=list)
    promoted: list[tuple[int, int]] = field(default_factory=list)


def _read(content: Any, where: str, *kinds: type[Any]) -> list[Any]:
    """Return the records of these kinds that the content of a user attribute holds together, which is parsed once.

    Raises:
        ValueError: naming the attribute, if it does not hold one of them.
    """
    try:
        values = parse_json(content) if isinstance(content, str) else content
        if EpochReport in kinds and isinstance(values, Mapping):
            values = upgraded(values)
        return [from_json(kind, values) for kind in kinds]
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


@functools.cache
def _bounded(kind: Any) -> tuple[str, ...]:
    """Return the fields of a record that hold seconds, CPUs or GPUs."""
    names = (field.name for field in dataclasses.fields(kind))
    return tuple(name for name in names if name.endswith("_seconds") or name in ("cpus", "gpus"))


def is_ours(frozen: FrozenTrial) -> bool:
    """Return whether a search created the trial, not another program with Optuna's `ask` or `enqueue_trial`."""
    return frozen.state in STATES and "config" in frozen.user_attrs


def best_report(reports: Iterable[EpochReport]) -> EpochReport | None:
    """Return the report with the highest score, the first of equal ones; None without a score."""
    scored = [report for report in reports if report.score is not None and not report.diverged]
    return max(scored, key=lambda report: report.score or 0.0, default=None)


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """The ledger's record of one trial."""

    number: int
    state: str
    """running, complete, pruned or failed."""
    params: dict[str, Any]
    """The space's parameters that exist in this trial."""
    config: dict[str, Any]
    """The full configuration, in the flat form of `TrialConfig`."""
    reports: tuple[EpochReport, ...]
    failures: tuple[Failure, ...]
    """Failures after which the trial was retried, and for a failed trial also its last one."""
    segments: tuple[Segment, ...]
    audited: int | None
    """The epoch after which ASHA would have stopped or paused the trial, if it runs on as an audit; else None."""
    decision: str | None = None
    """The scheduler's decision after the last epoch, one of DECISIONS; None before the first epoch, and in ledgers of
    earlier versions."""
    ends: tuple[int, ...] = ()
    """Numbers of paused trials that were evicted because of this trial's reports."""
    promoted: tuple[tuple[int, int], ...] = ()
    """Trials that were promoted shortly before this one began or reported: the number of each, and the epoch after
    which it was paused."""
    error: str | None
    started: datetime | None
    ended: datetime | None
    driven: bool = field(default=True, compare=False)
    """Whether a driver ran the study when the ledger was read, which says nothing of the trial itself."""

    @classmethod
    def of(cls, frozen: FrozenTrial, *, driven: bool = True) -> TrialRecord:
        """Read the record of a trial from Optuna's.

        Args:
            frozen: Optuna's trial.
            driven: whether a driver runs the study.

        Raises:
            ValueError: if it is not in the form that a search writes.
        """
        attributes = frozen.user_attrs

        def entries(name: str, *kinds: type[Any]) -> list[tuple[Any, ...]]:
            """Return by kind the records in the user attributes "NAME 0001", "NAME 0002", ..."""
            found = sorted(key for key in attributes if key.startswith(f"{name} "))
            read = [_read(attributes[key], f"trial {frozen.number}, {key}", *kinds) for key in found]
            return list(zip(*read, strict=True)) or [()] * len(kinds)

        [own] = _read(attributes, f"trial {frozen.number}", _Own)
        if not is_ours(frozen):
            raise ValueError(f"trial {frozen.number}: no search created it")
        reports, decided = entries("epoch", EpochReport, _Decided)
        audited = [report.epoch for report, after in zip(reports, decided, strict=True) if after.decision == AUDIT]
        entered: list[_Own | _Decided] = [own, *decided]
        record = cls(
            number=frozen.number,
            state=STATES[frozen.state],
            params=frozen.params,
            config=own.config,
            reports=reports,
            failures=entries("failure", Failure)[0],
            segments=entries("segment", Segment)[0],
            audited=audited[0] if audited else own.audited,
            decision=decided[-1].decision if decided else None,
            ends=tuple(number for after in decided for number in after.ends),
            promoted=tuple((number, epoch) for entry in entered for number, epoch in entry.promoted),
            error=own.error,
            started=frozen.datetime_start,
            ended=frozen.datetime_complete,
            driven=driven,
        )
        record._check()
        return record

    def _check(self) -> None:
        """Raise ValueError if the parts of the record contradict each other."""
        epochs = [report.epoch for report in self.reports]
        if any(later <= epoch for epoch, later in itertools.pairwise([0, *epochs])):
            raise ValueError(f"trial {self.number}: its epochs are {epochs[:9]}, not 1, 2, ... each reported once")
        if any(not math.isfinite(report.score or 0) for report in self.reports if not report.diverged):
            raise ValueError(f"trial {self.number}: a score is not a finite number, but the trial did not diverge")
        for entry in (*self.reports, *self.segments):
            kind: Any = type(entry)
            for name in _bounded(kind):
                if not abs((value := getattr(entry, name)) or 0) < MOST:
                    raise ValueError(f"trial {self.number}: {name} is {value}, must be a number below 2^63")

    @property
    def has_ended(self) -> bool:
        return self.state != "running"

    @property
    def shown_state(self) -> str:
        """The state that people are shown, one of SHOWN_STATES.

        A trial that has not ended is "paused" if ASHA paused it after its last epoch, and "interrupted" if no driver
        runs the study: no process trains it, until the study continues.
        """
        if self.has_ended:
            return self.state
        return "paused" if self.decision == PAUSE else "running" if self.driven else "interrupted"

    @property
    def broke_for_good(self) -> bool:
        """Whether its last failure was final; its driver may have been killed before it could end the trial."""
        return bool(self.failures) and self.failures[-1].final

    @functools.cached_property
    def best(self) -> EpochReport | None:
        """The report of the best epoch."""
        return best_report(self.reports)

    @property
    def score(self) -> float | None:
        """Best score on the validation part, in [0, 1]."""
        return self.best.score if self.best else None

    @property
    def micro_batches(self) -> int:
        """Number of parts into which its training splits a batch; it doubles each time that memory runs out."""
        return int(2 ** sum(failure.kind == "out_of_memory" for failure in self.failures))

    @property
    def reported_epochs(self) -> int:
        """The last epoch in the ledger; 0 if there is none."""
        return self.reports[-1].epoch if self.reports else 0
