"""Reads and checks what a report needs of a study: its settings, records and data."""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from search.ledger.ledger import Ledger
from search.ledger.named_places import followed, name_store
from search.ledger.ranking import ranked
from search.ledger.records import UNFINISHED, TrialRecord
from search.study.settings import StudySettings, data_as_recorded, data_changed
from search.study.space import Space
from trainables.data import PreparedData, prepare
from trainables.errors import listed
from trainables.prediction.metric import Metric


@dataclass(frozen=True, kw_only=True)
class StudyFacts:
    """A study with at least one scored trial, and its data."""

    folder: Path
    settings: StudySettings
    records: list[TrialRecord]
    """All trials, ordered by number."""
    data: PreparedData
    begun_with: tuple[int, ...] = ()
    """Numbers of the trials that the search began with: a portfolio, the best of another study, or systems."""
    identity: str | None = None
    """The study's identity, independent of its name and folder; None if no driver has set it yet."""
    elsewhere: Path | None = None
    """The folder of the report's files, if it is not in the study's."""
    chosen: int | None = None
    """Number of the trial that the user wants a report on; None: on the best ones."""

    @property
    def output(self) -> Path:
        """Folder of the report's files. The report on a chosen trial has its own, so that it replaces no other's."""
        if self.elsewhere is not None:
            return self.elsewhere
        return self.folder / "report" / ("" if self.chosen is None else f"trial-{self.chosen:04d}")

    @property
    def best(self) -> TrialRecord:
        """The best trial, or the one that the user has chosen."""
        return self.candidates(1)[0]

    def candidates(self, count: int) -> list[TrialRecord]:
        """Return the trials whose weights the predictor may have: the best `count`, or the one that was chosen."""
        return ranked(self.records)[:count] if self.chosen is None else [self.record(self.chosen)]

    def record(self, number: int) -> TrialRecord:
        """Return the trial of that number; trials that other programs added to the ledger are not among `records`."""
        return next(record for record in self.records if record.number == number)

    def with_record(self, changed: TrialRecord) -> StudyFacts:
        """Return the study with another record of a trial."""
        records = [changed if record.number == changed.number else record for record in self.records]
        return dataclasses.replace(self, records=records)

    @property
    def states(self) -> Counter[str]:
        """Number of trials in each state that people are shown."""
        return Counter(record.shown_state for record in self.records)

    @property
    def unfinished(self) -> list[str]:
        """How many trials are in each state that may still change, such as "2 interrupted"."""
        return [f"{self.states[state]} {state}" for state in UNFINISHED if self.states[state]]

    @property
    def metric(self) -> Metric:
        """The score by which trials are ranked."""
        return self.settings.chosen_metric

    @property
    def space(self) -> Space:
        return self.settings.search_space()

    @property
    def origin(self) -> str:
        """Data set, split and seed, which go with every stated score of this study."""
        kind = "synthetic " if self.data.report.synthetic else ""
        return f"{kind}data set {self.data.name}, {self.data.report.split_name} with seed {self.settings.seed}"


def read_study(
    folder: Path,
    data: str | None,
    checkpoints: str | None = None,
    output: Path | None = None,
    trial: int | None = None,
) -> StudyFacts:
    """Read a study, and memory-map its data.

    Args:
        folder: folder of the study.
        data: where the data is now, if it is not where the study recorded it.
        checkpoints: where the checkpoints are now, if they are not where the study recorded them.
        output: folder for the report's files; default: `report` in the study's folder.
        trial: number of the trial to report on; None: the best ones.

    Raises:
        ValueError: if the folder holds no study, if no trial (or not the chosen one) has a score yet, or if the data is
            not the study's.
    """
    ledger = Ledger.open(folder)
    records = ledger.records()
    if not ranked(records):
        raise ValueError(f"{folder}: no trial of this study has a score yet; run the search until one has")
    if trial is not None:
        _check_chosen(records, trial, folder)
    settings = StudySettings.recorded(ledger.settings, folder)
    if checkpoints is not None and "://" not in checkpoints:
        checkpoints = str(Path(checkpoints).resolve())
    for named in filter(None, (data, checkpoints)):
        name_store(named)
    settings = dataclasses.replace(
        settings,
        data=data or followed(settings.data, folder, "--data"),
        checkpoints=checkpoints or followed(settings.checkpoints, folder, "--checkpoints"),
    )
    prepared = data_as_recorded(prepare(settings.data_source), settings.to_dict())
    if prepared.fingerprint != settings.fingerprint:
        raise ValueError(
            f"{prepared.source.uri}: is not the data of this study "
            f"({data_changed(settings.fingerprint, prepared.fingerprint)}); name the right file with --data"
        )
    known = {record.number for record in records}
    begun_with = tuple(number for number in ledger.first if number in known)
    return StudyFacts(
        folder=folder,
        settings=settings,
        records=records,
        data=prepared,
        begun_with=begun_with,
        identity=ledger.identity,
        elsewhere=output,
        chosen=trial,
    )


def _check_chosen(records: list[TrialRecord], trial: int, folder: Path) -> None:
    numbers = [record.number for record in records]
    if trial not in numbers:
        raise ValueError(f"{folder}: has no trial {trial}; its trials are {min(numbers)} to {max(numbers)}")
    if trial not in {record.number for record in ranked(records)}:
        best = listed([record.number for record in ranked(records)])
        raise ValueError(f"{folder}: trial {trial} has no score; trials with one, the best first: {best}")
