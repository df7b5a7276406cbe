"""What every schedule must do. A new registry entry is tested as it is."""

from __future__ import annotations

import io

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from trainables.optim.schedules import SCHEDULES, Schedule, ScheduleConfig, build_schedule

PEAK = 0.1
STEPS_PER_EPOCH, EPOCHS = 7, 6
METRICS = [0.1, 0.3, 0.2, 0.2, 0.4, 0.1, 0.1, 0.1]

every_schedule = pytest.mark.parametrize("name", SCHEDULES)


def make(
    config: ScheduleConfig, steps_per_epoch: int = STEPS_PER_EPOCH, epochs: int = EPOCHS
) -> tuple[torch.optim.Optimizer, Schedule]:
    optimizer = torch.optim.SGD(
        [{"params": [torch.nn.Parameter(torch.ones(2))]}, {"params": [torch.nn.Parameter(torch.ones(1))]}], lr=PEAK
    )
    return optimizer, build_schedule(config, optimizer, steps_per_epoch=steps_per_epoch, epochs=epochs)


def run(optimizer: torch.optim.Optimizer, schedule: Schedule, batches: int, first: int = 0) -> list[float]:
    """Learning rates with which those batches were trained."""
    rates = []
    for batch in range(first, first + batches):
        rates.append(optimizer.param_groups[0]["lr"])
        assert all(group["lr"] == rates[-1] for group in optimizer.param_groups)
        optimizer.step()
        schedule.step_batch()
        if (batch + 1) % STEPS_PER_EPOCH == 0:
            schedule.step_epoch(METRICS[batch // STEPS_PER_EPOCH])
    return rates


@every_schedule
def test_it_stays_between_zero_and_the_peak_and_reaches_it(name):
    rates = run(*make(ScheduleConfig(name=name)), STEPS_PER_EPOCH * EPOCHS)
    assert min(rates) > 0
    assert max(rates) == pytest.approx(PEAK, rel=0.02)
    assert max(rates) <= PEAK * (1 + 1e-9)


@every_schedule
@pytest.mark.parametrize("interrupted_after", [0, 1, STEPS_PER_EPOCH * 2, STEPS_PER_EPOCH * EPOCHS])
@pytest.mark.parametrize("schedule_first", [False, True])
def test_resumed_it_continues_the_exact_curve(name, interrupted_after, schedule_first):
    config, total = ScheduleConfig(name=name), STEPS_PER_EPOCH * len(METRICS)
    uninterrupted = run(*make(config), total)
    optimizer, schedule = make(config)
    rates = run(optimizer, schedule, interrupted_after)
    buffer = io.BytesIO()
    torch.save({"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}, buffer)
    saved = torch.load(io.BytesIO(buffer.getvalue()), weights_only=True)
    optimizer, schedule = make(config)
    if schedule_first:
        schedule.load_state_dict(saved["schedule"])
    optimizer.load_state_dict(saved["optimizer"])
    if not schedule_first:
        schedule.load_state_dict(saved["schedule"])
    rates += run(optimizer, schedule, total - interrupted_after, first=interrupted_after)
    assert rates == uninterrupted


@every_schedule
@given(steps_per_epoch=st.integers(1, 12), epochs=st.integers(1, 4))
def test_any_length_and_steps_past_the_end(name, steps_per_epoch, epochs):
    optimizer, schedule = make(ScheduleConfig(name=name), steps_per_epoch, epochs)
    for _ in range(epochs + 2):
        for _ in range(steps_per_epoch):
            optimizer.step()
            schedule.step_batch()
            assert 0 < optimizer.param_groups[0]["lr"] <= PEAK * (1 + 1e-9)
        schedule.step_epoch(0.5)


@every_schedule
def test_a_score_that_is_not_a_number_does_no_harm(name):
    optimizer, schedule = make(ScheduleConfig(name=name))
    schedule.step_epoch(float("nan"))
    schedule.step_epoch(0.1)
    assert 0 < optimizer.param_groups[0]["lr"] <= PEAK


def test_an_unknown_name_is_refused_with_the_known_ones():
    config = ScheduleConfig()
    object.__setattr__(config, "name", "magic")
    with pytest.raises(ValueError, match=rf"unknown schedule 'magic': must be one of {', '.join(SCHEDULES)}"):
        make(config)
