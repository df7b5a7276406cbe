from __future__ import annotations

import io
import time

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rich.console import Console

from search.ledger.costs import device_seconds, saved_epochs, seconds_of
from search.ledger.ledger import Ledger
from search.ledger.records import Segment
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from search.tuning.limits.budgets import Budgets
from search.tuning.meter import Meter
from search.tuning.run_end import Stopping
from search.views.cost_table import receipt
from tests.made.studies import begin, epoch_report


@pytest.fixture
def clock(monkeypatch):
    """Seconds that only the test moves."""

    class Clock:
        now = 1000.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


def test_a_segment_is_what_is_left_beside_the_epochs(clock, make_report):
    meter = Meter({"CPU": 2, "GPU": 0.5})
    meter.begin(7)
    clock.now += 5 + 1.1  # the first epoch takes 1.1 s
    meter.epoch(7, make_report(1))
    clock.now += 2 + 1.4
    meter.epoch(7, make_report(2, checkpoint_seconds=0.3))
    assert meter.gpu_seconds == pytest.approx(0.5 * 9.5)
    clock.now += 0.5
    segment = meter.end(7)
    assert (segment.start_seconds, segment.wait_seconds) == (pytest.approx(5), pytest.approx(2.5))
    assert (segment.cpus, segment.gpus) == (2, 0.5)
    assert meter.gpu_seconds == 0


def test_a_segment_without_an_epoch_is_all_start_up(clock):
    meter = Meter({"CPU": 1})
    meter.begin(0)
    clock.now += 4
    assert meter.end(0) == Segment(start_seconds=4, wait_seconds=0, cpus=1, gpus=0)


def test_a_meter_may_have_a_clock_of_its_own(clock, make_report):
    own = [0.0]
    meter = Meter({"CPU": 3, "GPU": 0.5}, clock=lambda: own[0])
    meter.begin(0)
    clock.now += 100
    own[0] = 8.0
    assert meter.gpu_seconds == 4.0
    assert meter.end(0) == Segment(start_seconds=8, wait_seconds=0, cpus=3, gpus=0.5)


def test_every_part_of_every_epoch_is_work(clock, make_report):
    """Epochs of 4 + 2 + 1 = 7 s and of 8 + 0.5 + 0.25 = 8.75 s, in 3 + 7 + 2 + 8.75 + 1 = 21.75 s."""
    meter = Meter({"CPU": 1})
    meter.begin(0)
    clock.now += 3 + 7
    meter.epoch(0, make_report(1, train_seconds=4.0, val_seconds=2.0, checkpoint_seconds=1.0))
    clock.now += 2 + 8.75
    meter.epoch(0, make_report(2, train_seconds=8.0, val_seconds=0.5, checkpoint_seconds=0.25))
    clock.now += 1
    assert meter.end(0) == Segment(start_seconds=3, wait_seconds=3, cpus=1, gpus=0)


def test_no_part_of_a_segment_is_negative(clock, make_report):
    """A trial's own clock may say that it worked for longer than the driver saw it."""
    meter = Meter({"GPU": 1})
    meter.begin(0)
    clock.now += 5
    meter.epoch(0, make_report(1, train_seconds=6.0))
    clock.now += 1
    assert meter.end(0) == Segment(start_seconds=0, wait_seconds=0, cpus=0, gpus=1)


def test_trials_side_by_side_are_measured_apart(clock, make_report):
    """The first one has run for 6 s, the second one for 4 s, on half a GPU each."""
    meter = Meter({"CPU": 1, "GPU": 0.5})
    meter.begin(0)
    clock.now += 2
    meter.begin(1)
    clock.now += 4
    meter.epoch(1, make_report(1, train_seconds=1.0, val_seconds=0.0))
    assert meter.gpu_seconds == 5.0
    assert meter.end(0).start_seconds == 6.0
    assert meter.gpu_seconds == 2.0
    assert meter.end(1).start_seconds == 3.0


def test_a_trial_that_starts_again_is_measured_anew(clock, make_report):
    meter = Meter({"CPU": 1})
    for start in (3.0, 5.0):
        meter.begin(0)
        clock.now += start + 1.1
        meter.epoch(0, make_report(1))
        segment = meter.end(0)
        assert (segment.start_seconds, segment.wait_seconds) == (pytest.approx(start), pytest.approx(0))
        clock.now += 100


def test_trials_without_a_gpu_take_no_gpu_seconds(clock):
    meter = Meter({"CPU": 4})
    meter.begin(0)
    clock.now += 10
    assert meter.gpu_seconds == 0


@pytest.fixture
def study(ledger, space, make_report, tmp_path):
    """A trial in two segments that ended, and one that was stopped after 2 of 9 epochs."""
    for _ in range(2):
        begin(ledger, space)
    ledger.add_epoch(0, make_report(1, checkpoint_seconds=0.0))
    ledger.add_segment(0, Segment(start_seconds=3, wait_seconds=1, cpus=1, gpus=0.5))
    ledger.add_epoch(0, make_report(2, checkpoint_seconds=0.4))
    ledger.add_segment(0, Segment(start_seconds=2, wait_seconds=0, cpus=1, gpus=0.5))
    ledger.complete(0)
    for epoch in (1, 2):
        ledger.add_epoch(1, make_report(epoch))
    ledger.prune(1)
    return Ledger.open(tmp_path / "study").records()


def test_where_the_seconds_of_a_trial_went(study):
    expected = {"queueing": 0, "start-up": 5, "training": 2, "validation": 0.2, "checkpoints": 0.4, "waiting": 1}
    assert seconds_of(study[0]) == pytest.approx(expected)
    assert device_seconds(study[0]) == pytest.approx({"CPU": 8.6, "GPU": 4.3})
    # The ledger has no segment of the other one.
    assert device_seconds(study[1]) == pytest.approx({"CPU": 2.2, "GPU": 0})
    assert device_seconds(study[1], {"CPU": 4, "GPU": 0.5}) == pytest.approx({"CPU": 8.8, "GPU": 1.1})


def test_what_stopping_spares(study):
    epochs, seconds = saved_epochs(study, max_epochs=9)
    assert epochs == 7
    assert seconds == pytest.approx(7 * 1.1)


def test_each_segment_counts_with_what_it_held(ledger, space, make_report):
    """8 s on 8 CPUs and 2 GPUs; then 6 s, and an epoch of 1.1 s, on 3 CPUs and half a GPU."""
    begin(ledger, space)
    ledger.add_segment(0, Segment(start_seconds=7, wait_seconds=1, cpus=8, gpus=2))
    ledger.add_epoch(0, make_report(1))
    ledger.add_segment(0, Segment(start_seconds=3, wait_seconds=3, cpus=3, gpus=0.5))
    expected = {"CPU": 8 * 8 + 7.1 * 3, "GPU": 8 * 2 + 7.1 * 0.5}
    assert device_seconds(ledger.record(0)) == pytest.approx(expected)


def test_a_trial_that_resumed_on_a_part_of_a_gpu(ledger, space, make_report):
    """10 hours on a GPU, and one hour on a quarter of it."""
    begin(ledger, space)
    for epoch in range(1, 11):
        ledger.add_epoch(0, make_report(epoch, train_seconds=3600.0, val_seconds=0.0))
    ledger.add_segment(0, Segment(start_seconds=0, wait_seconds=0, cpus=1, gpus=1.0))
    ledger.add_epoch(0, make_report(11, train_seconds=3600.0, val_seconds=0.0))
    ledger.add_segment(0, Segment(start_seconds=0, wait_seconds=0, cpus=1, gpus=0.25))
    assert device_seconds(ledger.record(0))["GPU"] / 3600 == 10.25


def test_the_epochs_of_a_killed_driver_count_with_what_their_segment_held(ledger, space, make_report):
    begin(ledger, space)
    ledger.begin_segment(0, Segment(start_seconds=0, wait_seconds=0, cpus=2, gpus=1))
    ledger.add_epoch(0, make_report(1, train_seconds=10.0, val_seconds=0.0))
    assert device_seconds(ledger.record(0)) == {"CPU": 20, "GPU": 10}
    ledger.begin_segment(0, Segment(start_seconds=0, wait_seconds=0, cpus=1, gpus=0.25))  # by the next driver
    ledger.add_epoch(0, make_report(2, train_seconds=8.0, val_seconds=0.0))
    assert device_seconds(ledger.record(0)) == {"CPU": 28, "GPU": 12}
    ledger.add_segment(0, Segment(start_seconds=1, wait_seconds=3, cpus=1, gpus=0.25))
    assert device_seconds(ledger.record(0)) == {"CPU": 32, "GPU": 13}
    assert [segment.last_epoch for segment in ledger.record(0).segments] == [1, 2]


def test_an_epoch_that_was_saved_but_not_reported_counts_once(clock, make_report):
    """The process failed after 5 s of start-up and an epoch of 100 s; the next one reports that epoch after 6 s."""
    meter = Meter({"GPU": 1})
    meter.begin(0)
    clock.now += 105
    first = meter.end(0)
    meter.begin(0)
    clock.now += 6
    meter.epoch(0, make_report(1, train_seconds=100.0, val_seconds=0.0))
    second = meter.end(0)
    assert first.start_seconds + second.start_seconds == 11
    assert first.wait_seconds + second.wait_seconds == 0


@pytest.mark.parametrize("queues", [True, False])
def test_a_worker_group_that_waits_for_its_resources_holds_none(queues, clock, make_report):
    """It waits for 50 s, starts in 4 s, and trains for 10 s."""
    meter = Meter({"GPU": 2}, queues=queues)
    meter.begin(0)
    clock.now += 50
    assert meter.gpu_seconds == (0 if queues else 100)
    clock.now += 14
    meter.epoch(0, make_report(1, train_seconds=10.0, val_seconds=0.0, start_seconds=4.0))
    assert meter.gpu_seconds == 28
    clock.now += 1
    assert meter.end(0) == Segment(start_seconds=4, wait_seconds=1, queue_seconds=50, cpus=0, gpus=2)


def test_a_worker_group_that_fails_before_its_first_report_counts_as_waiting(clock):
    """Nothing tells whether it ever held its resources."""
    meter = Meter({"GPU": 2}, queues=True)
    meter.begin(0)
    clock.now += 50
    assert meter.end(0) == Segment(start_seconds=0, wait_seconds=0, queue_seconds=50, cpus=0, gpus=2)


def test_the_gpu_seconds_so_far_include_a_restored_epoch_of_a_killed_driver(clock, ledger, space, make_report):
    """It was trained for 100 s on half a GPU; the process that reports it has run for 6 s on a whole one."""
    begin(ledger, space)
    ledger.begin_segment(0, Segment(start_seconds=0, wait_seconds=0, cpus=1, gpus=0.5))
    meter = Meter({"GPU": 1}, past=ledger.records())
    ledger.begin_segment(0, meter.begin(0))
    clock.now += 6
    report = make_report(1, train_seconds=100.0, val_seconds=0.0, restored=True)
    ledger.add_epoch(0, report)
    meter.epoch(0, report)
    assert meter.gpu_seconds == 56
    assert device_seconds(ledger.record(0))["GPU"] == 50  # the end of this segment is open
    ledger.add_segment(0, meter.end(0))
    assert device_seconds(ledger.record(0))["GPU"] == 56


def test_an_epoch_that_a_measured_segment_has_counted_does_not_count_in_an_open_one(clock, ledger, space, make_report):
    begin(ledger, space)
    meter = Meter({"GPU": 1})
    ledger.begin_segment(0, meter.begin(0))
    clock.now += 105
    ledger.add_segment(0, meter.end(0))  # 5 s of start-up and an epoch that was saved
    ledger.begin_segment(0, meter.begin(0))
    clock.now += 6
    report = make_report(1, train_seconds=100.0, val_seconds=0.0, restored=True)
    ledger.add_epoch(0, report)
    meter.epoch(0, report)
    assert device_seconds(ledger.record(0))["GPU"] == 105
    ledger.add_segment(0, meter.end(0))
    assert device_seconds(ledger.record(0))["GPU"] == 111
    assert sum(seconds_of(ledger.record(0)).values()) == 111


@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_the_device_hours_of_a_trial_are_what_a_stopwatch_shows(data):
    """A trial under several drivers, on changing devices, with failures, killed drivers, and epochs reported late.

    The stopwatch runs while the trial holds devices. If its driver was killed, only the epochs count that it or the
    trial's next process reported.
    """
    seconds = st.integers(1, 50).map(float)
    ledger, space = Ledger.in_memory(), unet_space(PROFILES["cpu"])
    number, epoch, now, expected = begin(ledger, space).number, 0, [0.0], 0.0
    late: float | None = None  # seconds of an epoch that was trained, but not reported
    for more in reversed(range(data.draw(st.integers(1, 3)))):
        gpus = data.draw(st.sampled_from((0.25, 0.5, 1.0, 2.0)))
        meter = Meter({"CPU": 1, "GPU": gpus}, clock=lambda: now[0], past=ledger.records())
        for _ in range(data.draw(st.integers(1, 3))):
            ledger.begin_segment(number, meter.begin(number))
            held = data.draw(seconds)
            now[0] += held
            if late is not None:
                epoch += 1
                report = epoch_report(epoch, 0.5, train_seconds=late, val_seconds=0.0, restored=True)
                ledger.add_epoch(number, report)
                meter.epoch(number, report)
                late = None
            for took in data.draw(st.lists(seconds, max_size=3)):
                epoch += 1
                now[0], held = now[0] + took, held + took
                report = epoch_report(epoch, 0.5, train_seconds=took, val_seconds=0.0)
                ledger.add_epoch(number, report)
                meter.epoch(number, report)
            if data.draw(st.booleans()):
                late = data.draw(seconds)
                now[0], held = now[0] + late, held + late
            ledger.add_segment(number, meter.end(number))
            expected += held * gpus
        if data.draw(st.booleans()):  # this driver is killed in one more segment
            ledger.begin_segment(number, meter.begin(number))
            assume(late is None)
            for took in data.draw(st.lists(seconds, max_size=3)):
                epoch += 1
                now[0] += took
                report = epoch_report(epoch, 0.5, train_seconds=took, val_seconds=0.0)
                ledger.add_epoch(number, report)
                meter.epoch(number, report)
                expected += took * gpus
            if more and data.draw(st.booleans()):  # before it reported an epoch that is saved
                late = data.draw(seconds)
                now[0] += late
                expected += late * gpus
    assert device_seconds(ledger.record(number))["GPU"] == pytest.approx(expected)


def test_only_stopped_trials_that_reported_spared_any_epoch(ledger, space, make_report):
    """Of 10 epochs, the first one is spared 8 of (3 + 1 + 0.5 and 5 + 2 + 0.5) / 2 = 6 s, the last one 9 of 1.1 s."""
    for _ in range(5):
        begin(ledger, space)
    ledger.add_epoch(0, make_report(1, train_seconds=3.0, val_seconds=1.0, checkpoint_seconds=0.5))
    ledger.add_epoch(0, make_report(2, train_seconds=5.0, val_seconds=2.0, checkpoint_seconds=0.5))
    ledger.prune(0)
    ledger.prune(1)  # before its first epoch
    for number in (2, 3, 4):
        ledger.add_epoch(number, make_report(1))
    ledger.complete(2)
    ledger.prune(4)  # 3 still runs
    epochs, seconds = saved_epochs(ledger.records(), max_epochs=10)
    assert (epochs, seconds) == (8 + 9, pytest.approx(8 * 6 + 9 * 1.1))
    assert saved_epochs([], max_epochs=10) == (0, 0.0)


@pytest.mark.parametrize(("price", "money"), [(None, None), (3600.0, "4.30")])
def test_the_receipt_adds_up(price, money, study):
    console = Console(file=io.StringIO(), width=100)
    console.print(receipt(study, 9, price))
    text = console.file.getvalue()
    assert "0.00 GPU-hours" in text
    assert "saved by stopping 1 trials early" in text
    assert "7 epochs" in text
    assert ("price" in text) == (price is not None)
    if money is not None:
        assert money in text


def test_a_study_that_took_nothing_has_a_receipt(ledger):
    Console(file=io.StringIO()).print(receipt([], 9, 1.0))


@pytest.mark.parametrize(("epochs", "reason"), [(6, "the budget of 6 epochs is spent"), (7, None), (None, None)])
def test_a_budget_of_epochs_counts_earlier_runs(epochs, reason, study, make_report):
    stopping = Stopping()
    budgets = Budgets(stopping, Meter({}), study, epochs=epochs, gpu_hours=None)
    for epoch in (1, 2):
        assert stopping.reason is None
        budgets.epoch_ended(study[0], make_report(epoch))
    assert (stopping.reason or "").startswith(reason or "")
    assert (stopping.reason is None) == (reason is None)
    assert stopping.exit_code == 0


def test_a_budget_of_gpu_hours_counts_what_ended_and_what_runs(clock, study, make_report):
    stopping, meter = Stopping(), Meter({"CPU": 1, "GPU": 2})
    # 36 s, of which 4.3 and 4.4 are spent: the ledger has no segment of the second trial, so the meter's demand counts.
    budgets = Budgets(stopping, meter, study, epochs=None, gpu_hours=0.01)
    meter.begin(5)
    clock.now += 13
    budgets.epoch_ended(study[1], make_report(1))
    assert stopping.reason is None
    clock.now += 1
    budgets.epoch_ended(study[1], make_report(2))
    assert stopping.reason.startswith("the budget of 0.01 GPU-hours is spent")
    assert Budgets(Stopping(), meter, study, epochs=4, gpu_hours=None).stopping.reason is not None
