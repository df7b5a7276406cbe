from __future__ import annotations

import io

from rich.console import Console

from search.live_view import LiveView
from search.progress_state import ProgressState


def view_on(terminal, budget=5):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=140)
    state = ProgressState(budget=budget, time_budget=None, past=[])
    return state, LiveView(state, console)


def play(ledger, space, normalise, make_report, state, view):
    done, broken, running = (ledger.ask(space, {"training.max_epochs": 7}, normalise) for _ in range(3))
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


def test_plain_lines_without_a_terminal(ledger, space, normalise, make_report):
    state, view = view_on(terminal=False)
    with view.shown():
        play(ledger, space, normalise, make_report, state, view)
    text = view.console.file.getvalue()
    assert "[1/5] trial 0000 complete  mean IoU 0.4321  1 epochs  (best 0.4321, trial 0000)" in text
    assert "new best: depth" in text
    assert "RuntimeError: last" in text
    assert "[/bold] boom" in text
    assert "\x1b" not in text


def test_the_live_view_shows_counts_running_trials_and_the_best(ledger, space, normalise, make_report):
    state, view = view_on(terminal=True)
    play(ledger, space, normalise, make_report, state, view)
    console = Console(file=io.StringIO(), width=160)
    console.print(view._render())
    text = console.file.getvalue()
    assert "2/5 trials" in text
    assert "1 complete, 1 failed" in text
    assert "2/7" in text
    assert "0.2000" in text
    assert "best 0.4321 trial 0000" in text
    assert "left" in text
