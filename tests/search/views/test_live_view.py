from __future__ import annotations

import io

import pytest
from rich.console import Console

from search.ledger.records import Failure
from search.tuning.run_end import Stopping
from search.views.live_view import LiveView
from search.views.progress import ProgressState
from tests.made.studies import begin


def view_on(terminal, budget=5):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=140)
    state = ProgressState(budget=budget, time_budget=None, past=[])
    return state, LiveView(state, console, Stopping())


def play(ledger, space, make_report, state, view):
    done, broken, running = (begin(ledger, space, max_epochs=7) for _ in range(3))
    for record in (done, broken, running):
        state.trial_started(record)
    report = make_report(1, 0.4321)
    ledger.add_epoch(done.number, report)
    state.epoch_ended(done, report)
    state.epoch_ended(running, make_report(2, 0.2))
    for record in (
        ledger.complete(done.number),
        ledger.fail(broken.number, "line 1\n[/bold] boom\nRuntimeError: last"),
    ):
        state.trial_ended(record)
        view.trial_ended(record)


def test_plain_lines_without_a_terminal(ledger, space, make_report):
    state, view = view_on(terminal=False)
    with view.shown():
        play(ledger, space, make_report, state, view)
    text = view.console.file.getvalue()
    assert "[1/5] trial 0000 complete  mean IoU 0.4321  1 epochs  (best 0.4321, trial 0000)" in text
    assert "new best: depth" in text
    assert "RuntimeError: last" in text
    assert "[/bold] boom" in text
    assert "\x1b" not in text


def test_the_live_view_shows_counts_running_trials_and_the_best(ledger, space, make_report):
    state, view = view_on(terminal=True)
    play(ledger, space, make_report, state, view)
    console = Console(file=io.StringIO(), width=160)
    console.print(view.render())
    text = console.file.getvalue()
    assert "2/5 trials" in text
    assert "1 complete, 1 failed  " in text
    assert "2/7" in text
    assert "0.2000" in text
    assert "best 0.4321 trial 0000" in text
    assert "left" in text
    assert text.splitlines()[2].strip() == "running"
    console = Console(file=io.StringIO(), width=160)
    console.print(view.render(driven=False))
    text = console.file.getvalue()
    assert text.splitlines()[2].strip() == "interrupted"
    assert "left" not in text
    assert "running" not in text


@pytest.mark.parametrize("width", [60, 80])
def test_the_live_view_takes_one_line_a_trial(width, ledger, space, make_report):
    state, view = view_on(terminal=True, budget=1000)
    state.counts.update({"complete": 123, "pruned": 456, "failed": 78})
    for _ in range(3):
        record = begin(ledger, space, max_epochs=100)
        state.trial_started(record)
        state.epoch_ended(record, make_report(2, 0.2))
    console = Console(file=io.StringIO(), width=width)
    console.print(view.render())
    lines = console.file.getvalue().splitlines()
    # progress, counts, the title and the head of the table, the trials, the best one
    assert len(lines) == 2 + 2 + 3 + 1
    assert [line.split()[:3] for line in lines[4:7]] == [[f"{number:04d}", "2/100", "0.2000"] for number in range(3)]
    assert all(line.rstrip().endswith("…") for line in lines[4:])


def test_a_trial_that_broke_and_an_end_that_waits_are_shown(ledger, space, make_report):
    state, view = view_on(terminal=False)
    number = begin(ledger, space).number
    record = ledger.add_failure(number, Failure(kind="process_lost", epoch=3, message="line 1\nThe actor died"))
    state.trial_started(record)
    state.attempt_failed(record)
    view.attempt_failed(record)
    assert not state.running
    text = view.console.file.getvalue()
    assert (
        "trial 0000 failed after epoch 3 (process_lost); resuming from its checkpoint\n    line 1\n    The actor died"
        in text
    )
    for number in (4, 5):
        view.stopping.running.start(number)
    view.stopping.stop("interrupted", 130)
    view.console.print(view.render())
    assert "waiting for 2 trials to finish their epoch; Ctrl-C: end now" in view.console.file.getvalue()


@pytest.mark.parametrize("terminal", [False, True])
def test_paused_trials_are_counted_and_said_where_nothing_else_shows_them(terminal, ledger, space, make_report):
    state, view = view_on(terminal)
    record = begin(ledger, space)
    state.trial_started(record)
    ledger.add_epoch(record.number, make_report(1, 0.4321))
    for callback in (state, view):
        callback.trial_paused(ledger.record(record.number))
    said = "trial 0000 paused  mean IoU 0.4321  1 epochs"
    assert (said in view.console.file.getvalue()) == (not terminal)
    console = Console(file=io.StringIO(), width=160)
    console.print(view.render())
    assert "1 paused" in console.file.getvalue()
    state.trial_started(record)
    assert not state.paused
