from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from search.ledger.costs import longest_training_seconds
from search.tuning.limits.time_for_report import ReportTime, alone_speedup
from search.tuning.run_end import Stopping
from tests.made.studies import epoch_report


def data(unlabelled: int = 0) -> Any:
    images = np.zeros((unlabelled, 2, 2), np.uint8) if unlabelled else None
    return SimpleNamespace(unlabelled=images, crop=(2, 2), crops=np.ones_like, split={"val": np.arange(10)})


def ended(now: float, *epochs: int, speedup: float = 1.0, score: float | None = 0.5, unlabelled: int = 0) -> bool:
    """Whether the run ends after these epochs of 10 s; a trial has 12, the first rung is at 3, the report at 1000."""
    stopping = Stopping()
    rule = ReportTime(
        stopping,
        data(unlabelled),
        max_epochs=12,
        grace_epochs=3,
        speedup=speedup,
        until=1000.0,
        now=lambda: now,
    )
    for epoch in epochs:
        report = epoch_report(epoch, train_seconds=8.0, val_seconds=2.0, checkpoint_seconds=0.0, score=score)
        rule.epoch_ended(None, report)
    if stopping.reason is not None:
        assert (stopping.reason, stopping.exit_code) == (
            "the rest of the time is for training the best configuration at full length",
            0,
        )
    return stopping.reason is not None


def test_the_search_ends_when_the_time_left_is_that_of_the_longest_training():
    assert not ended(519.0, 3)  # 4 * 12 epochs of 10 s need 480 s
    assert ended(520.0, 3)


def test_a_trial_must_have_reached_the_first_rung():
    assert not ended(990.0, 1, 2, 1, 2)
    assert ended(990.0, 1, 2, 3)
    assert ended(990.0, 3, 1)  # whichever reports next


def test_the_speed_of_the_best_trial_counts_and_not_that_of_a_slow_one():
    """An epoch of the slow one takes 100 s."""
    stopping = Stopping()
    rule = ReportTime(stopping, data(), max_epochs=12, grace_epochs=3, speedup=1.0, until=1000.0, now=lambda: 500.0)
    best = epoch_report(3, 0.6, train_seconds=8.0, val_seconds=2.0, checkpoint_seconds=0.0)
    slow = epoch_report(3, 0.4, train_seconds=98.0, val_seconds=2.0, checkpoint_seconds=0.0)
    rule.epoch_ended(None, best)
    rule.epoch_ended(None, slow)
    assert stopping.reason is None
    rule.epoch_ended(None, epoch_report(4, 0.7, train_seconds=98.0, val_seconds=2.0, checkpoint_seconds=0.0))
    assert stopping.reason is not None


def test_an_epoch_without_a_score_does_not_count():
    assert not ended(990.0, 3, score=None)


def test_a_training_that_has_the_machine_to_itself_is_faster():
    assert not ended(759.0, 3, speedup=2.0)
    assert ended(760.0, 3, speedup=2.0)


def test_the_prediction_of_the_test_set_needs_time():
    report = epoch_report(1, train_seconds=8.0, val_seconds=2.0, checkpoint_seconds=0.0)
    assert longest_training_seconds(report, data(), 12) == 480.0
    assert longest_training_seconds(report, data(100), 12) == 480.0 + 4 * 100 * 0.2
    assert not ended(439.0, 3, unlabelled=100)
    assert ended(440.0, 3, unlabelled=100)


@pytest.mark.parametrize(
    ("demand", "cpus", "speedup"),
    [
        ({"CPU": 1}, 1, 1.0),
        ({"CPU": 1, "GPU": 0}, 2, 2**0.8),
        ({"CPU": 4}, 2, 1.0),
        ({"CPU": 1, "GPU": 1}, 16, 1.0),
        ({"CPU": 1, "GPU": 0.25}, 16, 4.0),
        ({"CPU": 1, "GPU": 2}, 16, 1.0),
    ],
)
def test_the_speedup_of_a_training_without_neighbours(demand, cpus, speedup):
    assert alone_speedup(demand, cpus=cpus) == pytest.approx(speedup)
