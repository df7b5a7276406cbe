"""What the ledger knows of a trial."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from optuna.distributions import BaseDistribution
from optuna.trial import FrozenTrial, TrialState

from search.json_records import MOST, from_json
from trainables.messages import EpochReport

STATES = {
    TrialState.RUNNING: "running",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}
CONTINUE, PAUSE, STOP, AUDIT = DECISIONS = ("continue", "pause", "stop", "audit")
"""What a scheduler decides after an epoch. "audit": it would stop or pause the trial, and lets it run on as a check."""


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """A configuration that the search chose, before it is a trial."""

    params: dict[str, Any]
    """The space's parameters that exist for it."""
    distributions: dict[str, BaseDistribution]
    """What they were drawn from."""
    config: dict[str, Any]
    """The whole configuration, in the flat form of `TrialConfig`."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A trial's process broke, or was lost."""

    kind: str
    """error, out_of_memory, process_lost (it died), hung (it reported nothing for too long), memory_pressure (its
    machine's memory was full), node_lost (its machine went away), node_unfit (its machine has not what the driver
    has), not_started, storage."""
    epoch: int
    """The last one that it had reported."""
    message: str
    final: bool = False
    """Whether the trial was not to be retried."""


@dataclass(frozen=True, kw_only=True)
class Segment:
    """What a trial's process took from its start to its end, besides its epochs; a trial that resumed has several."""

    start_seconds: float
    """Until its first epoch began: process, data, model."""
    wait_seconds: float
    """Between and after its epochs."""
    cpus: float
    gpus: float


@dataclass(frozen=True, kw_only=True)
class _Own:
    """Attributes of a trial that are no lists."""

    config: dict[str, str | bool | int | float]
    audited: int | None = None
    promoted: list[tuple[int, int]] = field(default_factory=list)
    error: str | None = None


@dataclass(frozen=True, kw_only=True)
class _Decided:
    """What an epoch's entry says beside its report."""

    decision: str | None = None
    ends: list[int] = field(default_factory=list)
    promoted: list[tuple[int, int]] = field(default_factory=list)


Entry = TypeVar("Entry")


def _read(kind: type[Entry], content: Any, where: str) -> Entry:
    try:
        return from_json(kind, json.loads(content) if isinstance(content, str) else content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where}: {error}") from error


def is_ours(frozen: FrozenTrial) -> bool:
    """Whether a search made the trial, and not some other user of Optuna (its `ask` or `enqueue_trial`)."""
    return frozen.state in STATES and "config" in frozen.user_attrs


def best_report(reports: Iterable[EpochReport]) -> EpochReport | None:
    """Of the epochs with the highest score the first; None without a score."""
    scored = [report for report in reports if report.mean_iou is not None and not report.diverged]
    return max(scored, key=lambda report: report.mean_iou or 0.0, default=None)


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """What the ledger knows of one trial."""

    number: int
    state: str
    """running, complete, pruned or failed."""
    params: dict[str, Any]
    """The space's parameters that exist for this trial."""
    config: dict[str, Any]
    """The whole configuration, in the flat form of `TrialConfig`."""
    reports: tuple[EpochReport, ...]
    failures: tuple[Failure, ...]
    """Those that it got over, and for a failed trial the one that it did not."""
    segments: tuple[Segment, ...]
    audited: int | None
    """The epoch after which ASHA was to stop or pause it, had it not been left to run on; None for all others."""
    decision: str | None = None
    """What the scheduler decided after the last epoch, of DECISIONS; None before the first one, and in ledgers of
    earlier versions."""
    ends: tuple[int, ...] = ()
    """Numbers of paused trials that were to end because of what this one reported."""
    promoted: tuple[tuple[int, int], ...] = ()
    """Trials that were promoted shortly before this one began or reported: number, and the epoch that each was paused
    after."""
    error: str | None
    started: datetime | None
    ended: datetime | None

    @classmethod
    def of(cls, frozen: FrozenTrial) -> TrialRecord:
        """What Optuna keeps of a trial, read.

        Raises:
            ValueError: if a search has not written it so.
        """
        attributes = frozen.user_attrs

        def entries(kind: type[Entry], name: str) -> tuple[Entry, ...]:
            found = sorted(key for key in attributes if key.startswith(f"{name} "))
            return tuple(_read(kind, attributes[key], f"trial {frozen.number}, {key}") for key in found)

        own = _read(_Own, attributes, f"trial {frozen.number}")
        if not is_ours(frozen):
            raise ValueError(f"trial {frozen.number}: no search made it")
        reports, decided = entries(EpochReport, "epoch"), entries(_Decided, "epoch")
        audited = [report.epoch for report, after in zip(reports, decided, strict=True) if after.decision == AUDIT]
        entered: list[_Own | _Decided] = [own, *decided]
        record = cls(
            number=frozen.number,
            state=STATES[frozen.state],
            params=frozen.params,
            config=own.config,
            reports=reports,
            failures=entries(Failure, "failure"),
            segments=entries(Segment, "segment"),
            audited=audited[0] if audited else own.audited,
            decision=decided[-1].decision if decided else None,
            ends=tuple(number for after in decided for number in after.ends),
            promoted=tuple((number, epoch) for entry in entered for number, epoch in entry.promoted),
            error=own.error,
            started=frozen.datetime_start,
            ended=frozen.datetime_complete,
        )
        record._check()
        return record

    def _check(self) -> None:
        """Raises ValueError if its parts do not belong together."""
        epochs = [report.epoch for report in self.reports]
        if any(later <= epoch for epoch, later in itertools.pairwise([0, *epochs])):
            raise ValueError(f"trial {self.number}: its epochs are {epochs[:9]}, not 1, 2, ... each reported once")
        if any(not math.isfinite(report.mean_iou or 0) for report in self.reports if not report.diverged):
            raise ValueError(f"trial {self.number}: a score is no number, but it did not diverge")
        for entry in (*self.reports, *self.segments):
            for name, value in vars(entry).items():
                if (name.endswith("_seconds") or name in ("cpus", "gpus")) and not abs(value) < MOST:
                    raise ValueError(f"trial {self.number}: {name} is {value}, must be a number below 2^63")

    @property
    def has_ended(self) -> bool:
        return self.state != "running"

    @property
    def broke_for_good(self) -> bool:
        """Whether it was not to be retried after its last failure; a driver may have been killed before it ended it."""
        return bool(self.failures) and self.failures[-1].final

    @property
    def best(self) -> EpochReport | None:
        """The report of the best epoch."""
        return best_report(self.reports)

    @property
    def score(self) -> float | None:
        """Best mean IoU on the validation part, in [0, 1]."""
        return self.best.mean_iou if self.best else None

    @property
    def micro_batches(self) -> int:
        """Parts of a batch that its training continues with: twice as many for each time that memory ran out."""
        return int(2 ** sum(failure.kind == "out_of_memory" for failure in self.failures))

    @property
    def reported_epochs(self) -> int:
        """Epochs that the ledger knows."""
        return self.reports[-1].epoch if self.reports else 0
