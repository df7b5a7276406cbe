"""Random studies whose drivers are killed after writes of the ledger: what follows is as if nobody had been."""

from __future__ import annotations

import dataclasses
import random

import pytest

from search.scheduling.schedulers import SCHEDULERS
from tests.made.histories import History, decisions, live

KINDS = [(scheduler, slots) for scheduler in SCHEDULERS for slots in (1, 2, 3, 4)]


def check_kills(path, seed, scheduler, slots):
    """Of a driver that is killed after a tenth of its writes."""
    history, chance = History.drawn(seed, scheduler=scheduler, slots=slots), random.Random(seed)
    undisturbed = decisions(live(path / f"{seed} undisturbed", history))
    assert decisions(live(path / f"{seed} killed", history, killed=lambda: chance.random() < 0.1)) == undisturbed


@pytest.mark.parametrize(("scheduler", "slots"), KINDS)
def test_kills_change_no_decision(scheduler, slots, tmp_path):
    for seed in range(8):
        check_kills(tmp_path, seed, scheduler, slots)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("scheduler", "slots"), KINDS)
def test_kills_change_no_decision_in_a_thousand_histories(scheduler, slots, tmp_path):
    for seed in range(100, 225):
        check_kills(tmp_path, seed, scheduler, slots)


def check_each_write(path, history):
    undisturbed = decisions(live(path / "undisturbed", history))
    writes = len((path / "undisturbed" / "study" / "ledger.journal").read_text().splitlines())
    for write in range(writes):
        left = iter(range(write, -writes, -1))
        killed = decisions(live(path / f"killed after {write}", history, killed=lambda left=left: next(left, 1) == 0))
        assert killed == undisturbed


def test_a_kill_after_any_write_changes_no_decision(tmp_path):
    check_each_write(tmp_path, dataclasses.replace(History.drawn(3, scheduler="asha-promotion", slots=2), budgets=(3,)))


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize(("scheduler", "slots"), KINDS)
def test_a_kill_after_any_write_of_longer_studies_changes_no_decision(scheduler, slots, tmp_path):
    check_each_write(tmp_path, History.drawn(7, scheduler=scheduler, slots=slots))


@pytest.mark.parametrize("scheduler", SCHEDULERS)
def test_neither_does_a_run_that_is_interrupted_and_lets_its_trial_report(scheduler, tmp_path):
    """Of one slot: with several, those that are interrupted leave slots that are not filled again."""
    for seed in range(6):
        history, chance = History.drawn(seed, scheduler=scheduler, slots=1), random.Random(seed)
        undisturbed = decisions(live(tmp_path / f"{seed} undisturbed", history))
        path = tmp_path / f"{seed} interrupted"
        interrupted = live(path, history, interrupted=lambda step: chance.random() < 0.2)  # noqa: B023
        assert decisions(interrupted) == undisturbed
