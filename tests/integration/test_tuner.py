"""The engine on a real Ray cluster, with loops that do what is to be handled."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from search.ledger import Ledger
from search.profiles import PROFILES
from search.recorder import Watcher
from search.space import unet_space
from search.tuner import TUNE_FOLDER, SearchPlan, run_search
from tests.studies import epoch_report, study_settings
from trainables.epoch_report import EpochReport
from trainables.launchers import InlineLauncher, TrialRequest

EPOCHS = 4

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("ray_cluster")]


def last(epoch: int) -> str | None:
    return "max_epochs" if epoch == EPOCHS else None


def steady(request: TrialRequest) -> Iterator[EpochReport]:
    """Each trial a little better than the one before: none is stopped."""
    for epoch in range(request.told_epochs + 1, EPOCHS + 1):
        yield epoch_report(epoch, 0.1 + 0.01 * request.number, ended=last(epoch))


def falling(request: TrialRequest) -> Iterator[EpochReport]:
    """Each trial worse than the one before: all but the first are stopped."""
    for epoch in range(1, EPOCHS + 1):
        yield epoch_report(epoch, 0.9 - 0.1 * request.number, ended=last(epoch))


def troubled(request: TrialRequest) -> Iterator[EpochReport]:
    """Trial 0 raises, 1 is killed, 2 diverges, the others end."""
    yield epoch_report(1, 0.5)
    if request.number == 0:
        raise RuntimeError("the disk caught fire")
    if request.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    if request.number == 2:
        yield epoch_report(2, math.nan, ended="diverged")
        return
    yield epoch_report(2, 0.6, ended="max_epochs")


@pytest.fixture
def search(tmp_path: Path):
    folder = tmp_path / "study"
    settings = study_settings(max_epochs=EPOCHS, reduction_factor=2)

    def run(loop, budget, concurrent=1, time_budget=None, watchers=()):
        plan = SearchPlan(
            folder=folder,
            settings=settings,
            space=unet_space(PROFILES["cpu"]),
            sampler="random",
            budget=budget,
            time_budget=time_budget,
            launcher=InlineLauncher(cpus=1),
            concurrent=concurrent,
        )
        run_search(plan, Ledger.create(folder), loop, list(watchers))
        assert not (folder / TUNE_FOLDER).exists()
        return Ledger.open(folder).records()

    return run


def test_every_epoch_and_end_reaches_the_ledger_and_the_watchers(search):
    class Heard(Watcher):
        def __init__(self):
            self.events = []

        def trial_started(self, record):
            self.events.append(("start", record.number))

        def epoch_ended(self, record, report):
            self.events.append(("epoch", record.number, report.epoch))

        def trial_ended(self, record):
            self.events.append(("end", record.number, record.state))

    heard = Heard()
    records = search(steady, budget=3, watchers=[heard])
    assert [record.state for record in records] == ["complete"] * 3
    assert [[report.epoch for report in record.reports] for record in records] == [[1, 2, 3, 4]] * 3
    assert len({str(record.config) for record in records}) == 3
    for number in range(3):
        assert [event for event in heard.events if event[1] == number] == [
            ("start", number),
            *(("epoch", number, epoch) for epoch in (1, 2, 3, 4)),
            ("end", number, "complete"),
        ]


def test_the_weak_are_stopped_and_told_as_pruned_with_their_values(search):
    records = search(falling, budget=4)
    assert [record.state for record in records] == ["complete", "pruned", "pruned", "pruned"]
    assert [len(record.reports) for record in records] == [4, 1, 1, 1]
    assert records[2].score == pytest.approx(0.7)


def test_failures_are_told_with_their_reason_and_do_not_end_the_study(search):
    records = search(troubled, budget=5)
    assert [record.state for record in records] == ["failed", "failed", "failed", "complete", "complete"]
    raised, killed, diverged = (record.error for record in records[:3])
    assert raised.splitlines()[-1].endswith("RuntimeError: the disk caught fire")
    assert "died" in killed or "SIGKILL" in killed or "exit" in killed.lower()
    assert "diverged" in diverged
    assert records[0].score == 0.5


def test_a_study_goes_on_to_a_larger_budget_and_no_further(search):
    assert len(search(steady, budget=2)) == 2
    first = search(steady, budget=2)
    later = search(steady, budget=4, concurrent=2)
    assert later[:2] == first[:2]
    assert [record.state for record in later] == ["complete"] * 4


def stuck(request: TrialRequest) -> Iterator[EpochReport]:
    """Does not get beyond its second epoch before it is resumed."""
    for epoch in range(request.told_epochs + 1, EPOCHS + 1):
        if epoch == 3 and request.told_epochs == 0:
            time.sleep(60)
        yield epoch_report(epoch, 0.5, ended=last(epoch))


def test_what_a_time_budget_cuts_off_goes_on_with_the_study(search):
    (cut,) = search(stuck, budget=1, time_budget=15)
    assert cut.state == "running"
    assert [report.epoch for report in cut.reports] == [1, 2]
    (ended,) = search(stuck, budget=1)
    assert ended.state == "complete"
    assert [report.epoch for report in ended.reports] == [1, 2, 3, 4]
    assert ended.config == cut.config
