"""The ledger: the single truth about a study, an Optuna study in an Optuna storage. Only the driver writes to it."""

from __future__ import annotations

import dataclasses
import json
import logging
import uuid
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import JournalStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.formatting import clean
from search.json_records import from_json
from search.ledger.named_places import reachable_place
from search.ledger.records import DECISIONS, Failure, Proposal, Segment, TrialRecord, is_ours
from search.storage.journal import Journal
from search.storage.journal_entries import check_entry
from search.storage.journal_start import begin_journal, has_begun
from search.storage.location import FILE, LedgerPlace
from search.study.placement import Placement
from trainables.messages import EpochReport

optuna.logging.set_verbosity(optuna.logging.WARNING)  # each study that is made or copied would be a line
_logger = logging.getLogger(__name__)

IDENTITY = "identity"


class Ledger:
    """A study's trials, their configurations, their epochs and their ends.

    Args:
        study: the Optuna study; `Ledger.open` and `Ledger.create` make it from a folder.
    """

    def __init__(self, study: optuna.Study):
        self.study = study
        self._storage = study._storage
        self._decided: dict[tuple[int, int], dict[str, Any]] = {}
        """By trial and epoch, what is to be written with that epoch."""
        self._promoted: list[tuple[int, int]] = []
        """Trials, and the epochs after which they were paused: to be written with the next entry."""
        self._warned = False

    @classmethod
    def create(cls, folder: Path, url: str | None = None, tell: Callable[[str], None] = print) -> Ledger:
        """The ledger of the study in that folder, for a driver to write to; made, with the folder, if there is none.

        A trial whose last epoch an earlier driver told, but not its end, is ended now: it has nothing left to report.

        Args:
            folder: the study's.
            url: of the database that a new study has its ledger in, instead of a journal in the folder.
            tell: is told when a database is waited for, when it is back, and of what a start that broke has left.

        Raises:
            ValueError: if it cannot be written, is damaged or elsewhere, or another driver holds it.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
            place = reachable_place(folder, url)
            identity = uuid.uuid4().hex
            if place.url is None and not has_begun(folder / FILE):
                begin_journal(folder / FILE, folder.name, {IDENTITY: identity}, tell)
            ledger = cls._in_database(place, tell) if place.url is not None else cls._in_journal(folder)
            ledger._check_own(folder)
            if ledger.identity is None:
                ledger.study.set_user_attr(IDENTITY, identity)
            for record in ledger.records():
                if record.state == "running" and record.reports and record.reports[-1].ended is not None:
                    ledger.finish(record.number)
            return ledger
        except OSError as error:
            raise ValueError(f"{folder}: cannot write the study there ({error.strerror or error})") from error

    def _check_own(self, folder: Path) -> None:
        """Raises ValueError if a driver cannot count its trials: others have added some."""
        if foreign := [frozen.number for frozen in self.frozen_trials() if not is_ours(frozen)]:
            raise ValueError(
                f"{folder}: trials {', '.join(map(str, foreign))} were made by no search (by Optuna's ask or "
                "enqueue_trial?): it can be read, and not be continued; begin another study with --start-from "
                f"{folder.name}"
            )

    @classmethod
    def _in_journal(cls, folder: Path) -> Ledger:
        return cls(_only_study(Journal(folder / FILE, writable=True, check=check_entry)))

    @classmethod
    def _in_database(cls, place: LedgerPlace, tell: Callable[[str], None]) -> Ledger:
        from search.storage.postgres_storage import DatabaseStorage

        if not place.known:
            cls.find(place.folder, place.url)  # another folder's is left as it is
        storage = DatabaseStorage(place, tell)
        place.record()
        return cls(optuna.load_study(storage=storage, study_name=place.study))

    @classmethod
    def in_memory(cls) -> Ledger:
        """A new one that is gone with this process."""
        return cls(optuna.create_study(direction="maximize"))

    @classmethod
    def find(cls, folder: Path, url: str | None = None) -> Ledger | None:
        """The ledger of the study in that folder, or to continue in it, to read; None if there is none yet.

        Args:
            folder: the study's.
            url: of the database that was asked for, if any.

        Raises:
            ValueError: if it is damaged or elsewhere, cannot be read, or belongs to another folder.
        """
        place = reachable_place(folder, url)
        if place.url is None:
            return cls.open(folder) if has_begun(folder / FILE) else None
        from search.storage.postgres_storage import read_study

        if (copy := read_study(place)) is None:
            return None
        return cls(optuna.load_study(storage=copy, study_name=place.study))

    @classmethod
    def open(cls, folder: Path) -> Ledger:
        """The ledger of a study that exists, to read. One in a database is as it was at this moment.

        Raises:
            ValueError: if there is none, or it is damaged or cannot be read.
        """
        if (place := reachable_place(folder)).url is not None:
            ledger = cls.find(folder)
            assert ledger is not None
            return ledger
        try:
            if not place.known:
                raise ValueError(f"{folder}: no study there (it has no {FILE})")
            return cls(_only_study(Journal(folder / FILE, writable=False, check=check_entry)))
        except OSError as error:
            raise ValueError(f"{folder / FILE}: cannot be read ({error.strerror or error})") from error

    def close(self) -> None:
        """Let another driver have a study in a database; a journal is free when its driver ends."""
        if (close := getattr(self._storage, "close", None)) is not None:
            close()

    def _together(self) -> AbstractContextManager[None]:
        """What a database writes at once; a journal writes one after the other."""
        together: Callable[[], AbstractContextManager[None]] = getattr(self._storage, "together", nullcontext)
        return together()

    @property
    def identity(self) -> str | None:
        """What makes the study this one, whatever it and its folder are called; None if no driver gave it one yet."""
        return self._recorded(IDENTITY, "") or None

    @property
    def runs(self) -> list[str]:
        """What each run of a driver was called that was to write checkpoints."""
        return self._recorded("runs", [])

    def add_run(self, run: str) -> None:
        self.study.set_user_attr("runs", [*self.runs, run])

    @property
    def space(self) -> dict[str, Any]:
        """The parameters that trials are chosen from (`space_record`), or {} if that was not recorded."""
        return self._recorded("space", {})

    @space.setter
    def space(self, parameters: dict[str, Any]) -> None:
        self.study.set_user_attr("space", parameters)

    def _recorded(self, name: str, default: Any) -> Any:
        """Raises ValueError for what no driver writes."""
        value = self.study.user_attrs.get(name, default)
        if not isinstance(value, type(default)):
            raise ValueError(f"study {self.study.study_name!r}: its {name} is damaged ({value!r:.80})")
        return value

    @property
    def settings(self) -> dict[str, Any]:
        """What makes the study what it is (`StudySettings`), or {} for a new one."""
        settings = self.study.user_attrs.get("settings", {})
        if not isinstance(settings, dict):
            raise ValueError(f"study {self.study.study_name!r}: its settings are {settings!r}, no set of named values")
        return settings

    @settings.setter
    def settings(self, values: dict[str, Any]) -> None:
        """Once recorded they stay, but for where the data is. Raises ValueError otherwise."""
        was = self.settings
        if was and (changed := [key for key in values if key != "data" and values[key] != was.get(key)]):
            raise ValueError(f"study {self.study.study_name!r} exists with other settings: {', '.join(changed)}")
        self.study.set_user_attr("settings", values)

    @property
    def placement(self) -> Placement | None:
        """How the study's trials share GPUs, if that was probed."""
        recorded = self.study.user_attrs.get("placement")
        return None if recorded is None else from_json(Placement, recorded)

    @placement.setter
    def placement(self, placement: Placement) -> None:
        self.study.set_user_attr("placement", dataclasses.asdict(placement))

    @property
    def first(self) -> dict[int, dict[str, Any]]:
        """Points of the space that come before what a sampler proposes, by the number of the trial that gets each."""
        first = self.study.user_attrs.get("first", {})
        if not isinstance(first, dict) or not all(isinstance(point, dict) for point in first.values()):
            raise ValueError(f"study {self.study.study_name!r}: its first points are no points")
        return {int(number): point for number, point in first.items()}

    def enqueue(self, points: Iterable[dict[str, Any]]) -> None:
        """Let these points be the next trials, after those that wait already; known ones are not repeated.

        Parameters that a point leaves out are sampled.
        """
        first = self.first
        following = max(len(self.frozen_trials()), *(number + 1 for number in first), 0)
        new = [point for point in points if point not in first.values()]
        if new:
            self.study.set_user_attr("first", first | dict(enumerate(new, start=following)))

    def frozen_trials(self) -> list[FrozenTrial]:
        """Optuna's own view of every trial, by number; not to be changed."""
        return self._storage.get_all_trials(self.study._study_id, deepcopy=False)

    def _frozen(self, number: int) -> FrozenTrial:
        return self._storage.get_trial(self._id(number))

    def records(self) -> list[TrialRecord]:
        """Every trial, by number; what others added by Optuna's own means is left out, with one warning.

        Raises:
            ValueError: if one is not as a search writes it.
        """
        trials = self.frozen_trials()
        if foreign := [frozen.number for frozen in trials if not is_ours(frozen)]:
            self._warn_of(foreign)
        return [TrialRecord.of(frozen) for frozen in trials if is_ours(frozen)]

    def _warn_of(self, foreign: list[int]) -> None:
        if not self._warned:
            _logger.warning(
                "study %s: trials %s were made by no search: left out", clean(self.study.study_name), foreign
            )
        self._warned = True

    def record(self, number: int) -> TrialRecord:
        return TrialRecord.of(self._frozen(number))

    def begin(self, proposal: Proposal) -> TrialRecord:
        """A new running trial. It is one entry: no trial has a part of its configuration only."""
        born = create_trial(
            state=TrialState.RUNNING,
            params=proposal.params,
            distributions=proposal.distributions,
            user_attrs={"config": proposal.config} | self._promotions(),
        )
        return TrialRecord.of(self._storage.get_trial(self._storage.create_new_trial(self.study._study_id, born)))

    def add_epoch(self, number: int, report: EpochReport) -> None:
        """Append an epoch to a running trial, with what was decided of it. A diverged one leaves no value for the
        sampler."""
        trial = self._id(number)
        entry = report.to_dict() | self._decided.pop((number, report.epoch), {}) | self._promotions()
        with self._together():
            if report.mean_iou is not None and not report.diverged:
                self._storage.set_trial_intermediate_value(trial, report.epoch, report.mean_iou)
            # The report comes last: an epoch of which a killed driver wrote the value alone is not known yet.
            self._storage.set_trial_user_attr(trial, f"epoch {report.epoch:04d}", json.dumps(entry))

    def decide(self, number: int, epoch: int, decision: str, ends: Iterable[int] = ()) -> None:
        """Have what the scheduler decided of an epoch written with it, in one entry, when it is added.

        Args:
            number: of the trial that reported the epoch.
            epoch: which.
            decision: one of `DECISIONS`.
            ends: numbers of paused trials that are waited for no more because of it.
        """
        assert decision in DECISIONS
        self._decided[number, epoch] = {"decision": decision} | ({"ends": list(ends)} if ends else {})

    def promote(self, number: int, epoch: int) -> None:
        """Have it written with the next epoch or trial that one that was paused after this epoch resumes. Before that,
        nothing has changed that the promotion depends on, and it would be repeated."""
        self._promoted.append((number, epoch))

    def _promotions(self) -> dict[str, Any]:
        promoted, self._promoted = self._promoted, []
        return {"promoted": promoted} if promoted else {}

    def add_failure(self, number: int, failure: Failure) -> TrialRecord:
        """Note that a running trial failed once; it may resume, or `fail` for good."""
        self._append(number, "failure", failure, len(self.record(number).failures))
        return self.record(number)

    def add_segment(self, number: int, segment: Segment) -> None:
        """Note what a running trial took; it may end now, or resume later."""
        self._append(number, "segment", segment, len(self.record(number).segments))

    def mark_audited(self, number: int, epoch: int) -> None:
        """Note that a running trial was to stop or pause after that epoch, and runs on to see if that is right."""
        self._storage.set_trial_user_attr(self._id(number), "audited", epoch)

    def _append(self, number: int, kind: str, entry: Failure | Segment, count: int) -> None:
        values = {key: value for key, value in dataclasses.asdict(entry).items() if value is not False}
        self._storage.set_trial_user_attr(self._id(number), f"{kind} {count + 1:04d}", json.dumps(values))

    def finish(self, number: int) -> TrialRecord:
        """The trial ended by itself, as its last report says: complete, or failed if it diverged."""
        last = self.record(number).reports[-1]
        assert last.ended is not None
        if last.diverged:
            return self.fail(number, f"diverged: a loss, score or gradient of epoch {last.epoch} is not finite")
        return self.complete(number)

    def complete(self, number: int) -> TrialRecord:
        """The trial ran to its end: its value is its best mean IoU."""
        return self._end(number, TrialState.COMPLETE, self.record(number).score)

    def prune(self, number: int) -> TrialRecord:
        """The scheduler stopped the trial: the sampler ranks it by its epochs so far."""
        values = self._frozen(number).intermediate_values
        return self._end(number, TrialState.PRUNED, values[max(values)] if values else None)

    def fail(self, number: int, error: str) -> TrialRecord:
        """The trial broke for good, or diverged; `error` says how."""
        with self._together():
            self._storage.set_trial_user_attr(self._id(number), "error", error)
            self._storage.set_trial_state_values(self._id(number), TrialState.FAIL)
        return self.record(number)

    def _end(self, number: int, state: TrialState, value: float | None) -> TrialRecord:
        self._storage.set_trial_state_values(self._id(number), state, None if value is None else [value])
        return self.record(number)

    def _id(self, number: int) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self.study._study_id, number)


def _only_study(journal: Journal) -> optuna.Study:
    """The first one of a journal, under whatever name: the name is that of the folder in which it was begun."""
    storage = JournalStorage(journal)
    if not (studies := storage.get_all_studies()):
        raise ValueError(f"{journal.path}: holds no study")
    return optuna.load_study(storage=storage, study_name=studies[0].study_name)
