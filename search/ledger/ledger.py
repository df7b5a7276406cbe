"""The ledger: the record of a study, an Optuna study in an Optuna storage. Only the driver writes to it."""

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
from optuna.storages import BaseStorage, InMemoryStorage, JournalStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from search.folders.places import study_not_written
from search.formatting import clean
from search.json_records import from_json
from search.ledger.named_places import reachable_place
from search.ledger.records import DECISIONS, Failure, Proposal, Segment, TrialRecord, is_ours
from search.locking.driver_claim import is_driven
from search.storage.entry_validation import check_entry
from search.storage.journal import Journal
from search.storage.journal_creation import begin_journal, has_begun
from search.storage.journal_merging import merged
from search.storage.location import FILE, LedgerPlace
from search.study.gpu_share import Placement
from trainables.errors import listed
from trainables.messages import EpochReport

_logger = logging.getLogger(__name__)

IDENTITY = "identity"


class Ledger:
    """A study's trials: their configurations, their epochs, and how they ended.

    Args:
        storage: the Optuna storage; `Ledger.open` and `Ledger.create` find it in a folder.
        name: name of the study in the storage.
    """

    def __init__(self, storage: BaseStorage, name: str):
        self.storage = storage
        self.study = optuna.load_study(storage=storage, study_name=name)
        self._study_id = storage.get_study_id_from_name(name)
        self._decided: dict[tuple[int, int], dict[str, Any]] = {}
        """By trial and epoch, the scheduler's decision that will be written with that epoch."""
        self._promoted: list[tuple[int, int]] = []
        """Promoted trials, and the epochs after which they were paused; they will be written with the next entry."""
        self._ended: dict[int, TrialRecord] = {}
        """By number, the ended trials that were read: an ended trial no longer changes."""
        self._warned = False
        self.driven = True
        """Whether a driver runs the study, to tell the trials that it trains from those that were interrupted."""

    @classmethod
    def create(cls, folder: Path, url: str | None = None, tell: Callable[[str], None] = print) -> Ledger:
        """Open the ledger of the study in that folder for a driver to write to; create it and the folder if needed.

        A trial whose last epoch an earlier driver recorded, but not its end, is ended now: it has no more to report.

        Args:
            folder: folder of the study.
            url: URL of the database for the ledger of a new study, instead of a journal in the folder.
            tell: called with a message when a database is waited for, when it is back, and if a failed start has left a
                file.

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
            raise study_not_written(folder, error) from error

    def _check_own(self, folder: Path) -> None:
        """Raise ValueError if other programs have added trials: a driver could not number its own."""
        if foreign := [frozen.number for frozen in self.frozen_trials() if not is_ours(frozen)]:
            raise ValueError(
                f"{folder}: trials {listed(foreign)} were not created by a search (by Optuna's ask or "
                "enqueue_trial?): the study can be read, but not continued; begin another study with --start-from "
                f"{folder.name}"
            )

    @classmethod
    def _in_journal(cls, folder: Path) -> Ledger:
        return cls(*_only_study(Journal(folder / FILE, writable=True, check=check_entry, merge=merged)))

    @classmethod
    def _in_database(cls, place: LedgerPlace, tell: Callable[[str], None]) -> Ledger:
        from search.storage.postgres_storage import DatabaseStorage

        if not place.known:
            cls.find(place.folder, place.url)  # raises if the study belongs to another folder
        storage = DatabaseStorage(place, tell)
        place.record()
        return cls(storage, place.study)

    @classmethod
    def in_memory(cls) -> Ledger:
        """Create a new ledger in memory, which ends with this process."""
        storage = InMemoryStorage()
        return cls(storage, optuna.create_study(storage=storage, direction="maximize").study_name)

    @classmethod
    def find(cls, folder: Path, url: str | None = None) -> Ledger | None:
        """Return the ledger of the study that is or would continue in that folder, to read; None if there is none yet.

        Args:
            folder: folder of the study.
            url: URL of the requested database, if any.

        Raises:
            ValueError: if it is damaged or elsewhere, cannot be read, or belongs to another folder.
        """
        place = reachable_place(folder, url)
        if place.url is None:
            return cls.open(folder) if has_begun(folder / FILE) else None
        from search.storage.postgres_storage import read_study

        if (copy := read_study(place)) is None:
            return None
        ledger = cls(copy, place.study)
        ledger.driven = copy.driven
        return ledger

    @classmethod
    def open(cls, folder: Path) -> Ledger:
        """Open the ledger of an existing study to read. One in a database is a snapshot of this moment.

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
            ledger = cls(*_only_study(Journal(folder / FILE, writable=False, check=check_entry, merge=merged)))
            ledger.driven = is_driven(folder)
            return ledger
        except OSError as error:
            raise ValueError(f"{folder / FILE}: cannot be read ({error.strerror or error})") from error

    def close(self) -> None:
        """Release a study in a database for another driver; a journal is released when its driver ends."""
        if (close := getattr(self.storage, "close", None)) is not None:
            close()

    def _together(self) -> AbstractContextManager[None]:
        """Group changes: a database writes them in one transaction, a journal one after the other."""
        together: Callable[[], AbstractContextManager[None]] = getattr(self.storage, "together", nullcontext)
        return together()

    @property
    def identity(self) -> str | None:
        """Identity of the study, independent of its name and folder; None if no driver has set it yet."""
        return self._recorded(IDENTITY, "") or None

    @property
    def runs(self) -> list[str]:
        """Names of the study's runs that were to write checkpoints."""
        return self._recorded("runs", [])

    def add_run(self, run: str) -> None:
        self.study.set_user_attr("runs", [*self.runs, run])

    @property
    def space(self) -> dict[str, Any]:
        """The space that trials are chosen from, as `space_record` describes it, or {} if it was not recorded."""
        return self._recorded("space", {})

    @space.setter
    def space(self, parameters: dict[str, Any]) -> None:
        self.study.set_user_attr("space", parameters)

    def _recorded(self, name: str, default: Any) -> Any:
        """Return a user attribute of the study. Raises ValueError for a type that no driver writes."""
        value = self.study.user_attrs.get(name, default)
        if not isinstance(value, type(default)):
            raise ValueError(f"study {self.study.study_name!r}: its {name} is damaged ({value!r:.80})")
        return value

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that define the study (`StudySettings`), or {} for a new one."""
        settings = self.study.user_attrs.get("settings", {})
        if not isinstance(settings, dict):
            raise ValueError(f"study {self.study.study_name!r}: its settings are {settings!r}, not a JSON object")
        return settings

    @settings.setter
    def settings(self, values: dict[str, Any]) -> None:
        """Record the settings. Only the location of the data may change later. Raises ValueError otherwise."""
        was = self.settings
        if was and (changed := [key for key in values if key != "data" and values[key] != was.get(key)]):
            raise ValueError(f"study {self.study.study_name!r} exists with other settings: {', '.join(changed)}")
        self.study.set_user_attr("settings", values)

    @property
    def placement(self) -> Placement | None:
        """How the study's trials share GPUs; None if that was not probed."""
        recorded = self.study.user_attrs.get("placement")
        return None if recorded is None else from_json(Placement, recorded)

    @placement.setter
    def placement(self, placement: Placement) -> None:
        self.study.set_user_attr("placement", dataclasses.asdict(placement))

    @property
    def first(self) -> dict[int, dict[str, Any]]:
        """Points of the space that are tried before the sampler's proposals, by the number of each point's trial."""
        first = self.study.user_attrs.get("first", {})
        if not isinstance(first, dict) or not all(isinstance(point, dict) for point in first.values()):
            raise ValueError(f"study {self.study.study_name!r}: its first points are not points of a space")
        return {int(number): point for number, point in first.items()}

    def enqueue(self, points: Iterable[dict[str, Any]]) -> None:
        """Queue these points as the next trials, after the queued ones; points that were queued before are skipped.

        Parameters that a point leaves out are sampled.
        """
        first = self.first
        following = max(len(self.frozen_trials()), *(number + 1 for number in first), 0)
        new = [point for point in points if point not in first.values()]
        if new:
            self.study.set_user_attr("first", first | dict(enumerate(new, start=following)))

    def frozen_trials(self) -> list[FrozenTrial]:
        """Return every trial as Optuna has it, by number; the caller must not change them."""
        return self.storage.get_all_trials(self._study_id, deepcopy=False)

    def _frozen(self, number: int) -> FrozenTrial:
        return self.storage.get_trial(self._id(number))

    def records(self) -> list[TrialRecord]:
        """Return every trial, by number; trials that other programs added are left out, with one warning.

        Raises:
            ValueError: if a trial is not in the form that a search writes.
        """
        trials = self.frozen_trials()
        if foreign := [frozen.number for frozen in trials if not is_ours(frozen)]:
            self._warn_of(foreign)
        return [self._ended.get(frozen.number) or self._read(frozen) for frozen in trials if is_ours(frozen)]

    def _read(self, frozen: FrozenTrial) -> TrialRecord:
        record = TrialRecord.of(frozen, driven=self.driven)
        if record.has_ended:
            self._ended[record.number] = record
        return record

    @property
    def trial_count(self) -> int:
        """Number of trials, without those that other programs added. Unlike `records`, it does not read them."""
        return sum(map(is_ours, self.frozen_trials()))

    def _warn_of(self, foreign: list[int]) -> None:
        if not self._warned:
            _logger.warning(
                "study %s: trials %s were not created by a search: left out",
                clean(self.study.study_name),
                listed(foreign),
            )
        self._warned = True

    def record(self, number: int) -> TrialRecord:
        return TrialRecord.of(self._frozen(number), driven=self.driven)

    def begin(self, proposal: Proposal) -> TrialRecord:
        """Create a running trial. It is written in one entry, so that no trial has only part of its configuration."""
        born = create_trial(
            state=TrialState.RUNNING,
            params=proposal.params,
            distributions=proposal.distributions,
            user_attrs={"config": proposal.config} | self._promotions(),
        )
        return TrialRecord.of(self.storage.get_trial(self.storage.create_new_trial(self._study_id, born)))

    def add_epoch(self, number: int, report: EpochReport) -> None:
        """Append an epoch to a running trial, with the scheduler's decision. The sampler gets no value of a diverged
        epoch."""
        trial = self._id(number)
        entry = report.to_dict() | self._decided.pop((number, report.epoch), {}) | self._promotions()
        with self._together():
            if report.score is not None and not report.diverged:
                self.storage.set_trial_intermediate_value(trial, report.epoch, report.score)
            # The report comes last: without it, an epoch whose value a killed driver wrote does not count yet.
            self.storage.set_trial_user_attr(trial, f"epoch {report.epoch:04d}", json.dumps(entry))

    def decide(self, number: int, epoch: int, decision: str, ends: Iterable[int] = ()) -> None:
        """Set the scheduler's decision after an epoch. It is written in the epoch's entry when the epoch is added.

        Args:
            number: number of the trial that reported the epoch.
            epoch: number of the epoch.
            decision: one of `DECISIONS`.
            ends: numbers of paused trials that are evicted because of it.
        """
        assert decision in DECISIONS
        self._decided[number, epoch] = {"decision": decision} | ({"ends": list(ends)} if ends else {})

    def promote(self, number: int, epoch: int) -> None:
        """Record that a trial which paused after this epoch was promoted. It is written with the next epoch or trial:
        until then nothing changes that the promotion depends on, so another driver would repeat it."""
        self._promoted.append((number, epoch))

    def _promotions(self) -> dict[str, Any]:
        promoted, self._promoted = self._promoted, []
        return {"promoted": promoted} if promoted else {}

    def add_failure(self, number: int, failure: Failure) -> TrialRecord:
        """Record a failure of a running trial; it may be retried, or end with `fail`."""
        self._append(number, "failure", failure, len(self.record(number).failures))
        return self.record(number)

    def begin_segment(self, number: int, segment: Segment) -> None:
        """Record the resources that a running trial holds from now on. `add_segment` replaces the entry at the end. If
        the driver is killed before that, the segment's epochs count with these resources."""
        record = self.record(number)
        if record.segments and record.segments[-1].running:  # its driver was killed
            self._write_segment(record, dataclasses.replace(record.segments[-1], killed=True))
        self._append(number, "segment", dataclasses.replace(segment, running=True), len(record.segments))

    def add_segment(self, number: int, segment: Segment) -> None:
        """Record the time and resources that a running trial used; it may end now, or resume later."""
        self._write_segment(self.record(number), segment)

    def _write_segment(self, record: TrialRecord, segment: Segment) -> None:
        """Write a segment that has ended, in place of the entry of its beginning if there is one."""
        ended = dataclasses.replace(segment, last_epoch=record.reported_epochs, running=False)
        begun = bool(record.segments) and record.segments[-1].running
        self._append(record.number, "segment", ended, len(record.segments) - begun)

    def mark_audited(self, number: int, epoch: int) -> None:
        """Record that a running trial would have stopped or paused after that epoch, and runs on as an audit."""
        self.storage.set_trial_user_attr(self._id(number), "audited", epoch)

    def _append(self, number: int, kind: str, entry: Failure | Segment, count: int) -> None:
        values = {key: value for key, value in dataclasses.asdict(entry).items() if value is not False}
        self.storage.set_trial_user_attr(self._id(number), f"{kind} {count + 1:04d}", json.dumps(values))

    def finish(self, number: int) -> TrialRecord:
        """End a trial that ended by itself: as complete, or as failed if its last report diverged."""
        last = self.record(number).reports[-1]
        assert last.ended is not None
        if last.diverged:
            return self.fail(number, f"diverged: a loss, score or gradient of epoch {last.epoch} is not finite")
        return self.complete(number)

    def complete(self, number: int) -> TrialRecord:
        """End a trial as complete: its value is its best score."""
        return self._end(number, TrialState.COMPLETE, self.record(number).score)

    def prune(self, number: int) -> TrialRecord:
        """End a trial as pruned: the sampler ranks it by its epochs so far."""
        values = self._frozen(number).intermediate_values
        return self._end(number, TrialState.PRUNED, values[max(values)] if values else None)

    def fail(self, number: int, error: str) -> TrialRecord:
        """End a trial as failed, after its last attempt or because it diverged; `error` is the reason."""
        with self._together():
            self.storage.set_trial_user_attr(self._id(number), "error", error)
            self.storage.set_trial_state_values(self._id(number), TrialState.FAIL)
        return self.record(number)

    def _end(self, number: int, state: TrialState, value: float | None) -> TrialRecord:
        self.storage.set_trial_state_values(self._id(number), state, None if value is None else [value])
        return self.record(number)

    def _id(self, number: int) -> int:
        return self.storage.get_trial_id_from_study_id_trial_number(self._study_id, number)


def _only_study(journal: Journal) -> tuple[JournalStorage, str]:
    """Return a journal's storage and the name of its first study, which is that of the folder in which it began."""
    storage = JournalStorage(journal)
    if not (studies := storage.get_all_studies()):
        raise ValueError(f"{journal.path}: holds no study")
    return storage, studies[0].study_name
