from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.optim.schedules import COSINE_FLOOR, ScheduleConfig, build_schedule

PEAK = 0.5


def by_batch(config: ScheduleConfig, steps: int, run: int | None = None) -> list[float]:
    """Learning rates of the batches of a training of that many steps, and the one behind the last."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=PEAK)
    schedule = build_schedule(config, optimizer, steps_per_epoch=steps, epochs=1)
    rates = [optimizer.param_groups[0]["lr"]]
    for _ in range(run or steps):
        optimizer.step()
        schedule.step_batch()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def by_epoch(config: ScheduleConfig, metrics: list[float]) -> list[float]:
    """Learning rates after each epoch of those scores."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=PEAK)
    schedule = build_schedule(config, optimizer, steps_per_epoch=5, epochs=len(metrics))
    rates = []
    for metric in metrics:
        schedule.step_epoch(metric)
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


def half_cosine(start: float, end: float, part: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * part)) / 2


def test_constant():
    assert by_batch(ScheduleConfig(name="constant"), 4) == [PEAK] * 5
    assert by_epoch(ScheduleConfig(name="constant"), [0.3, 0.2, 0.1]) == [PEAK] * 3


def test_cosine_falls_from_the_peak_to_a_hundredth():
    rates = by_batch(ScheduleConfig(name="cosine"), 8)
    assert rates == pytest.approx([half_cosine(PEAK, COSINE_FLOOR * PEAK, step / 8) for step in range(9)])
    assert rates[-1] == pytest.approx(PEAK / 100)


def test_onecycle_rises_for_its_warmup_and_falls_to_the_end():
    rates = by_batch(ScheduleConfig(name="onecycle", parameters={"warmup_fraction": 0.25}), 8)
    up = [half_cosine(PEAK / 25, PEAK, step / 2) for step in range(2)]
    down = [half_cosine(PEAK, PEAK / 25e4, step / 6) for step in range(7)]
    assert rates == pytest.approx(up + down, rel=1e-6)


@pytest.mark.parametrize("name", ["onecycle", "cosine"])
def test_past_its_end_a_schedule_stays_there(name):
    rates = by_batch(ScheduleConfig(name=name), 6, run=15)
    assert rates[6:] == [rates[6]] * 10
    assert rates[6] <= PEAK / 100 * (1 + 1e-9)


@given(steps=st.integers(1, 40), warmup_fraction=st.floats(0.01, 0.99))
def test_onecycle_of_any_length_peaks_where_its_warmup_ends(steps, warmup_fraction):
    # OneCycleLR itself divides by zero where warmup_fraction * (steps + 1) is 1, as with 9 steps and 0.1.
    rates = by_batch(ScheduleConfig(name="onecycle", parameters={"warmup_fraction": warmup_fraction}), steps)
    assert rates[0] == pytest.approx(PEAK / 25)
    assert rates[-1] == pytest.approx(PEAK / 25e4)
    assert abs(rates.index(max(rates)) - warmup_fraction * steps) <= 1


def test_plateau_waits_for_its_patience_then_lowers_and_begins_anew():
    config = ScheduleConfig(name="plateau", parameters={"factor": 0.5, "patience": 1})
    metrics = [0.2, 0.3, 0.3, 0.29, 0.2, 0.1, 0.30001, 0.1]
    # the second epoch in a row that is no better than the best halves the rate
    expected = [1, 1, 1, 1 / 2, 1 / 2, 1 / 4, 1 / 4, 1 / 4]
    assert by_epoch(config, metrics) == [PEAK * part for part in expected]


def test_plateau_sees_any_gain_also_of_negative_scores():
    config = ScheduleConfig(name="plateau", parameters={"factor": 0.5, "patience": 0})
    assert by_epoch(config, [-2.0, -1.99999, -1.99998]) == [PEAK] * 3
    assert by_epoch(config, [-2.0, -2.0]) == [PEAK, PEAK / 2]


def test_plateau_leaves_batches_and_the_others_leave_epochs_alone():
    assert by_batch(ScheduleConfig(name="plateau"), 5) == [PEAK] * 6
    assert len(set(by_epoch(ScheduleConfig(name="cosine"), [0.3, 0.2, 0.1]))) == 1
