"""Learning rates of each schedule, step by step, as literal numbers."""

from __future__ import annotations

import pytest
import torch

from trainables.optim.schedules import Schedule, ScheduleConfig, build_schedule

PEAK = 0.5


def make(config: ScheduleConfig, *rates: float, epochs: int = 3) -> tuple[torch.optim.Optimizer, Schedule]:
    """A schedule of two steps an epoch, of an optimizer with a group of parameters for each rate."""
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": rate} for rate in rates or (PEAK,)]
    optimizer = torch.optim.SGD(groups, momentum=0.9)
    return optimizer, build_schedule(config=config, optimizer=optimizer, steps_per_epoch=2, epochs=epochs)


def rates(optimizer: torch.optim.Optimizer, schedule: Schedule, steps: int, group: int = 0) -> list[float]:
    found = [optimizer.param_groups[group]["lr"]]
    for _ in range(steps):
        optimizer.step()
        schedule.step_batch()
        found.append(optimizer.param_groups[group]["lr"])
        assert optimizer.param_groups[group]["momentum"] == 0.9
    return found


ONECYCLE = [0.02, 0.26, 0.5, 0.4267769, 0.250001, 0.0732251, 2e-6]
"""Up from 0.5 / 25 in two steps, down to 0.02 / 10000 in four: by (1 - cos(pi / 4)) / 2 = 0.1464466 of it and so on."""
COSINE = [0.5, 0.4668413, 0.37625, 0.2525, 0.12875, 0.0381587, 0.005]
"""0.2525 + 0.2475 cos(k pi / 6)."""


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (ScheduleConfig(name="onecycle", parameters={"warmup_fraction": 1 / 3}), ONECYCLE),
        (ScheduleConfig(name="cosine"), COSINE),
        (ScheduleConfig(name="constant"), [PEAK] * 7),
        (ScheduleConfig(name="plateau"), [PEAK] * 7),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_rates_of_six_steps_in_three_epochs_and_of_those_past_the_end(config, expected):
    assert rates(*make(config), steps=9) == pytest.approx(expected + expected[-1:] * 3, rel=1e-5)


def test_onecycle_rises_for_three_tenths_of_the_steps_by_default():
    optimizer, schedule = make(ScheduleConfig(name="onecycle"), epochs=5)
    # Up in three steps by (1 - cos(pi / 3)) / 2 = 1/4 and 3/4 of 0.48, then down in seven.
    assert rates(optimizer, schedule, 10)[:4] == pytest.approx([0.02, 0.14, 0.38, 0.5], rel=1e-5)


def test_onecycle_gives_each_group_of_parameters_its_own_peak():
    config = ScheduleConfig(name="onecycle", parameters={"warmup_fraction": 1 / 3})
    for group, part in enumerate((1, 0.1)):
        found = rates(*make(config, PEAK, 0.1 * PEAK), steps=6, group=group)
        assert found == pytest.approx([part * rate for rate in ONECYCLE], rel=1e-5)


def test_cosine_ends_at_a_hundredth_of_the_first_groups_peak():
    assert rates(*make(ScheduleConfig(name="cosine"), PEAK, 0.1), steps=6)[-1] == pytest.approx(0.005)


def after_epochs(config: ScheduleConfig, scores: list[float]) -> list[float]:
    optimizer, schedule = make(config)
    found = []
    for score in scores:
        schedule.step_epoch(score)
        found.append(optimizer.param_groups[0]["lr"])
    return found


@pytest.mark.parametrize(
    ("parameters", "lowered_after"),
    [({"patience": 0}, 2), ({"patience": 1}, 3), ({"patience": 3}, 5), ({}, 7)],
)
def test_plateau_lowers_the_rate_after_one_epoch_more_than_its_patience(parameters, lowered_after):
    found = after_epochs(ScheduleConfig(name="plateau", parameters=parameters), [0.4] * 7)
    assert found[: lowered_after - 1] == [PEAK] * (lowered_after - 1)
    assert found[lowered_after - 1] == PEAK / 2


@pytest.mark.parametrize(("factor", "expected"), [(0.1, [0.5, 0.05, 0.005]), (0.75, [0.5, 0.375, 0.28125])])
def test_plateau_multiplies_the_rate_by_its_factor_each_time(factor, expected):
    config = ScheduleConfig(name="plateau", parameters={"factor": factor, "patience": 0})
    assert after_epochs(config, [0.4, 0.3, 0.39]) == pytest.approx(expected)


def test_plateau_compares_with_the_best_epoch_and_not_with_the_last():
    config = ScheduleConfig(name="plateau", parameters={"patience": 1})
    assert after_epochs(config, [0.4, 0.1, 0.2, 0.3]) == [PEAK, PEAK, PEAK / 2, PEAK / 2]


@pytest.mark.parametrize("name", ["onecycle", "cosine", "constant"])
def test_the_others_leave_the_rate_alone_between_epochs(name):
    optimizer, schedule = make(ScheduleConfig(name=name))
    first = optimizer.param_groups[0]["lr"]
    for _ in range(9):
        schedule.step_epoch(0.1)
        assert optimizer.param_groups[0]["lr"] == first


def test_a_constant_rate_has_no_state():
    _, schedule = make(ScheduleConfig(name="constant"))
    assert schedule.state_dict() == {}
    with pytest.raises(AssertionError, match="a constant learning rate has no state"):
        schedule.load_state_dict({"last_epoch": 3})


def test_a_schedules_length_is_given_by_name():
    optimizer, _ = make(ScheduleConfig())
    with pytest.raises(TypeError):
        build_schedule(ScheduleConfig(), optimizer, 2, 3)
