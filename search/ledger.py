"""The ledger: the single truth about a study, an Optuna study in an Optuna storage. Only the driver writes to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import optuna
from filelock import FileLock
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from trainables.epoch_report import EpochReport

if TYPE_CHECKING:
    from search.space import Space

FILE = "ledger.journal"
STATES = {
    TrialState.RUNNING: "running",
    TrialState.WAITING: "waiting",
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
}


@dataclass(frozen=True, kw_only=True)
class TrialRecord:
    """What the ledger knows of one trial."""

    number: int
    state: str
    """running, waiting, complete, pruned or failed."""
    params: dict[str, Any]
    """The space's parameters that exist for this trial."""
    config: dict[str, Any]
    """The whole configuration, in the flat form of `TrialConfig`."""
    reports: tuple[EpochReport, ...]
    error: str | None
    started: datetime | None
    ended: datetime | None

    @property
    def has_ended(self) -> bool:
        return self.state not in ("running", "waiting")

    @property
    def best(self) -> EpochReport | None:
        """The report of the best epoch."""
        scored = [report for report in self.reports if report.mean_iou is not None and not report.diverged]
        return max(scored, key=lambda report: report.mean_iou or 0.0, default=None)

    @property
    def score(self) -> float | None:
        """Best mean IoU on the validation part, in [0, 1]."""
        return self.best.mean_iou if self.best else None


class Ledger:
    """A study's trials, their configurations, their epochs and their ends.

    Args:
        study: the Optuna study; `Ledger.open` and `Ledger.create` make it from a folder.
    """

    def __init__(self, study: optuna.Study):
        self.study = study
        self._trials: dict[int, optuna.Trial] = {}

    @classmethod
    def create(cls, folder: Path) -> Ledger:
        """The ledger in that folder, for a driver to write to; made, with the folder, if there is none.

        A trial whose last epoch an earlier driver told, but not its end, is ended now: it has nothing left to report.

        Raises:
            ValueError: if it cannot be written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            study = optuna.create_study(
                storage=_storage(folder), study_name=folder.name, direction="maximize", load_if_exists=True
            )
            ledger = cls(study)
            for record, frozen in zip(ledger.records(), study.get_trials(deepcopy=False), strict=True):
                if record.state == "running" and record.reports and record.reports[-1].ended is not None:
                    ledger._trials[record.number] = optuna.Trial(study, frozen._trial_id)
                    ledger.finish(record.number)
            return ledger
        except OSError as error:
            raise ValueError(f"{folder}: cannot write the study there ({error.strerror or error})") from error

    @classmethod
    def open(cls, folder: Path) -> Ledger:
        """The ledger of a study that exists.

        Raises:
            ValueError: if there is none.
        """
        if not (folder / FILE).is_file():
            raise ValueError(f"{folder}: no study there (it has no {FILE})")
        storage = _storage(folder)
        if not (studies := storage.get_all_studies()):
            raise ValueError(f"{folder / FILE}: holds no study")
        return cls(optuna.load_study(storage=storage, study_name=studies[0].study_name))

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the study what it is (`StudySettings`), or {} for a new one."""
        return self.study.user_attrs.get("settings", {})

    @settings.setter
    def settings(self, values: dict[str, Any]) -> None:
        self.study.set_user_attr("settings", values)

    def records(self) -> list[TrialRecord]:
        """Every trial, by number."""
        return [_record(frozen) for frozen in self.study.get_trials(deepcopy=False)]

    def record(self, number: int) -> TrialRecord:
        return _record(self.study.get_trials(deepcopy=False)[number])

    def enqueue(self, points: Iterable[dict[str, Any]]) -> None:
        """Let these points be the next trials, in this order; parameters that a point leaves out are sampled."""
        for point in points:
            self.study.enqueue_trial(point)

    def ask(
        self, space: Space, fixed: dict[str, Any], normalise: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> TrialRecord:
        """A new running trial: the next one that waits, or one with a suggested configuration."""
        return self._configure(self.study.ask(), space, fixed, normalise)

    def revive(
        self, number: int, space: Space, fixed: dict[str, Any], normalise: Callable[[dict[str, Any]], dict[str, Any]]
    ) -> TrialRecord:
        """A running trial that an earlier driver left behind, to go on under its own number and configuration."""
        frozen = self.study.get_trials(deepcopy=False)[number]
        assert frozen.state == TrialState.RUNNING, f"trial {number} is {frozen.state.name}"
        trial = optuna.Trial(self.study, frozen._trial_id)
        if "config" in frozen.user_attrs:
            self._trials[number] = trial
            return _record(frozen)
        # Killed between its birth and its configuration: the space gives what was already drawn, and draws the rest.
        return self._configure(trial, space, fixed, normalise)

    def _configure(
        self,
        trial: optuna.Trial,
        space: Space,
        fixed: dict[str, Any],
        normalise: Callable[[dict[str, Any]], dict[str, Any]],
    ) -> TrialRecord:
        trial.set_user_attr("config", normalise(fixed | space.suggest(trial)))
        self._trials[trial.number] = trial
        return self.record(trial.number)

    def add_epoch(self, number: int, report: EpochReport) -> None:
        """Append an epoch to a running trial. A diverged one leaves no value for the sampler."""
        trial = self._trials[number]
        trial.set_user_attr(f"epoch {report.epoch:04d}", json.dumps(report.to_dict()))
        if report.mean_iou is not None and not report.diverged:
            trial.report(report.mean_iou, report.epoch)

    def finish(self, number: int) -> TrialRecord:
        """The trial ended by itself, as its last report says: complete, or failed if it diverged."""
        last = self.record(number).reports[-1]
        assert last.ended is not None
        if last.diverged:
            return self.fail(number, f"diverged: a loss, score or gradient of epoch {last.epoch} is not finite")
        return self.complete(number)

    def complete(self, number: int) -> TrialRecord:
        """The trial ran to its end: its value is its best mean IoU."""
        return self._tell(number, TrialState.COMPLETE, self.record(number).score)

    def prune(self, number: int) -> TrialRecord:
        """The scheduler stopped the trial: the sampler ranks it by its epochs so far."""
        return self._tell(number, TrialState.PRUNED)

    def fail(self, number: int, error: str) -> TrialRecord:
        """The trial broke, or diverged; `error` says how."""
        self._trials[number].set_user_attr("error", error)
        return self._tell(number, TrialState.FAIL)

    def _tell(self, number: int, state: TrialState, value: float | None = None) -> TrialRecord:
        self.study.tell(self._trials.pop(number), value, state=state)
        return self.record(number)


class _JournalLock:
    """A lock on the journal that ends with the process that holds it.

    Optuna's own is a link that a killed driver leaves behind; the next one waits 30 s for it, and for ever where the
    path is relative.
    """

    def __init__(self, file: Path):
        self._lock = FileLock(f"{file}.lock")

    def acquire(self) -> bool:
        self._lock.acquire()
        return True

    def release(self) -> None:
        self._lock.release()


def _storage(folder: Path) -> JournalStorage:
    return JournalStorage(JournalFileBackend(str(folder / FILE), lock_obj=_JournalLock(folder / FILE)))


def _record(frozen: FrozenTrial) -> TrialRecord:
    attributes = frozen.user_attrs
    reports = [EpochReport.from_dict(json.loads(text)) for key, text in attributes.items() if key.startswith("epoch ")]
    return TrialRecord(
        number=frozen.number,
        state=STATES[frozen.state],
        params=frozen.params,
        config=attributes.get("config", {}),
        reports=tuple(sorted(reports, key=lambda report: report.epoch)),
        error=attributes.get("error"),
        started=frozen.datetime_start,
        ended=frozen.datetime_complete,
    )
