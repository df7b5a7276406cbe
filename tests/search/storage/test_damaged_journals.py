"""Whoever reads a journal that something damaged, or that somebody made up, gets a result or a ValueError."""

from __future__ import annotations

import dataclasses
import logging
import random
import traceback
from types import SimpleNamespace

import numpy as np
import pytest

from reports.inputs import StudyFacts
from reports.output.leaderboard_files import leaderboard_table
from search.cli import local_studies
from search.ledger.ledger import FILE, Ledger
from search.ledger.ranking import ranked
from search.sampling.proposer import Proposer
from search.sampling.warm_start import starting_points
from search.scheduling.false_stops import audit
from search.scheduling.schedulers import scheduler_for
from search.simulation.curves import recorded
from search.study.settings import StudySettings
from search.tuning.meter import Meter
from search.tuning.next_trial import LedgerSearcher
from search.tuning.run_end import Stopping
from search.views.cost_table import receipt
from search.views.leaderboard import leaderboard
from search.views.progress import ProgressState
from search.views.safe_console import Terminal
from tests.made.damage import damaged_journal
from tests.made.damaged_journals import whole_journal
from tests.made.studies import study_settings
from tests.reports.made_runs import best_plan

FEW, MANY = 300, 10_000


@pytest.fixture
def lines(tmp_path, space):
    """The journal of a study with some of everything."""
    return whole_journal(tmp_path / "whole", space)


class Readers:
    """All that reads a ledger, short of what wants Ray or the data."""

    def __init__(self, folder, space):
        self.folder, self.space = folder, space
        self.console = Terminal(quiet=True)

    def list(self):
        local_studies._list(self.console, self.folder.parent)

    def show(self):
        local_studies._show(self.console, self.folder)

    def start_from(self):
        starting_points(str(self.folder), self.space, self.folder.parent / "new")

    def replay(self):
        recorded([self.folder])

    def report(self):
        ledger = Ledger.open(self.folder)
        records = ledger.records()
        if not ranked(records):
            return
        settings = StudySettings.recorded(ledger.settings, self.folder)
        described = SimpleNamespace(class_names=("soil", "sand"), ignored_label=None)
        data = SimpleNamespace(
            description=described,
            present_labels=(0, 1),
            train_part=lambda fraction: np.arange(8),
            images=range(10),
            crops=np.ones_like,
        )
        facts = StudyFacts(folder=self.folder, settings=settings, records=records, data=data)
        leaderboard_table(facts)
        best_plan(facts)
        audit(records, settings)
        self.console.print(receipt(records, settings.max_epochs, 1.0))
        _ = ledger.placement

    def resume(self):
        """As a driver that continues the study, to its next suggestion."""
        (self.folder / FILE).write_bytes((self.folder / FILE).read_bytes())
        ledger = Ledger.create(self.folder)
        settings = study_settings(scheduler="asha-promotion", rung_metric="best")
        if ledger.settings:
            settings.check_same(ledger.settings, "study")
        ledger.settings = dataclasses.asdict(settings)
        ledger.enqueue(({"model.depth": 3},))
        _ = ledger.placement
        records = ledger.records()
        ProgressState(budget=9, time_budget=None, past=records)
        self.console.print(leaderboard(records))
        proposer = Proposer(ledger, self.space, settings, sampler="random")
        scheduler = scheduler_for(ledger, settings, audit=0.0)
        searcher = LedgerSearcher(ledger, proposer, scheduler, budget=9, stopping=Stopping())
        scheduler.pop_evicted()
        searcher.suggest("a")
        searcher.suggest("b")
        Meter({}).begin(0)


READERS = ("list", "show", "start_from", "replay", "report", "resume")


def read(journal, folder, space):
    """What the readers raised besides ValueError, as texts; and how many read it, and refused it."""
    found, counts = [], [0, 0]
    readers = Readers(folder, space)
    for name in READERS:
        (folder / FILE).write_bytes(journal)
        try:
            getattr(readers, name)()
            counts[0] += 1
        except ValueError:
            counts[1] += 1
        except Exception:
            found.append(f"{name}: {traceback.format_exc()}")
    return found, counts


@pytest.fixture(autouse=True)
def quiet(caplog):
    """Most of these journals are warned of."""
    caplog.set_level(logging.ERROR, "search.ledger.ledger")


def fuzz(lines, tmp_path, space, seeds):
    folder = tmp_path / "runs" / "study"
    folder.mkdir(parents=True)
    total = [0, 0]
    for seed in seeds:
        found, counts = read(damaged_journal(lines, random.Random(seed)), folder, space)
        assert not found, f"seed {seed}: {found[0]}"
        total = [one + other for one, other in zip(total, counts, strict=True)]
    return total


def test_whoever_reads_a_damaged_journal_gets_a_result_or_a_value_error(lines, tmp_path, space):
    read_whole, refused = fuzz(lines, tmp_path, space, range(FEW))
    assert read_whole > FEW / 2
    assert refused > FEW / 2


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.timeout(3600)
def test_and_so_for_many(lines, tmp_path, space):
    fuzz(lines, tmp_path, space, range(FEW, FEW + MANY))


def test_the_whole_one_is_read_by_all(lines, tmp_path, space):
    folder = tmp_path / "runs" / "study"
    folder.mkdir(parents=True)
    assert read(b"".join(lines), folder, space) == ([], [len(READERS), 0])
