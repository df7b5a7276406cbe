from __future__ import annotations

import pytest

from search.ledger.ledger import Ledger
from search.scheduling.expected_epochs import epochs_left, expected_epochs
from search.simulation.simulator import Simulation, simulate
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from tests.made.records import trial_record
from tests.made.studies import epoch_report, study_settings


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        (0, 0),
        (1, 2),
        (3, 3 * 2 + 1 * 4),
        (9, 9 * 2 + 3 * 4 + 1 * 6),  # rungs after 2 and 6 epochs
        (50, 50 * 2 + 16 * 4 + 5 * 6),
    ],
)
def test_each_rung_is_passed_by_a_third(trials, expected):
    settings = study_settings(max_epochs=12, grace_epochs=2, reduction_factor=3)
    assert expected_epochs(settings, trials) == expected


def test_without_a_rung_each_trial_trains_to_its_end():
    assert expected_epochs(study_settings(max_epochs=5, grace_epochs=9), 4) == 20


@pytest.mark.parametrize("scheduler", ["asha-promotion", "asha-stopping"])
def test_it_is_close_to_what_a_simulated_study_trains(scheduler):
    settings = study_settings(scheduler=scheduler, max_epochs=12, grace_epochs=2, patience=12)

    def world(record):
        for epoch in range(1, 13):
            score = (record.number * 37 % 101) / 200 + 0.01 * epoch
            yield epoch_report(epoch, score, ended="max_epochs" if epoch == 12 else None)

    ledger = Ledger.in_memory()
    plan = Simulation(settings=settings, space=unet_space(PROFILES["cpu"]), sampler="random", trials=60, slots=2)
    simulate(plan, world, ledger, [])
    trained = sum(record.reported_epochs for record in ledger.records())
    assert expected_epochs(settings, 60) == pytest.approx(trained, rel=0.25)


def test_of_the_trials_that_are_held_back_the_audited_ones_train_to_their_end():
    """A third of 9 passes each rung. Of the 6 held back after 2 epochs, and the 2 after 6, half train to the 12th."""
    settings = study_settings(max_epochs=12, grace_epochs=2, reduction_factor=3)
    assert expected_epochs(settings, 9, audit=0.5) == 9 * 2 + 3 * 4 + 1 * 6 + 3 * 10 + 1 * 6


@pytest.mark.parametrize(("trials", "budget", "left"), [(9, None, 33), (9, 20, 17), (9, 100, 33), (1, None, 0)])
def test_earlier_runs_and_a_budget_of_epochs_leave_fewer(trials, budget, left):
    settings = study_settings(max_epochs=12, grace_epochs=2, reduction_factor=3)
    past = [trial_record(0, [0.1, 0.2]), trial_record(1, [0.3])]
    assert epochs_left(settings, trials, past, audit=0.0, epochs_budget=budget) == left
