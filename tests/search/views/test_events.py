from __future__ import annotations

import io
import json

import pytest
from rich.console import Console

from search.ledger.records import Failure
from search.tuning.run_end import Stopping
from search.views.events import EventReader, EventWriter, TextEvents
from search.views.progress import ProgressState
from tests.made.studies import begin


@pytest.fixture
def stream():
    return io.StringIO()


@pytest.fixture
def seen():
    return Console(file=io.StringIO(), force_terminal=False, width=140)


def study(ledger, space, make_report, stream):
    """A study in which everything happens that a view can show; returns its state."""
    past = begin(ledger, space)
    for epoch, score in enumerate((0.1, 0.6, 0.2), start=1):
        ledger.add_epoch(past.number, make_report(epoch, score))
    past = ledger.prune(past.number)
    state, stopping = ProgressState(budget=5, time_budget=60.0, past=[past], expected_epochs=40), Stopping()
    writer = EventWriter(state, stopping, stream)
    with writer.shown():

        def tell(hook, *arguments):
            for callback in (state, writer):
                getattr(callback, hook)(*arguments)

        records = [begin(ledger, space) for _ in range(3)]
        for record in records:
            tell("trial_started", record)
        for epoch in (1, 2):
            report = make_report(epoch, 0.3 * epoch)
            ledger.add_epoch(records[0].number, report)
            tell("epoch_ended", records[0], report)
        tell("trial_paused", ledger.record(records[0].number))
        failure = Failure(kind="error", epoch=0, message="RuntimeError: boom")
        tell("attempt_failed", ledger.add_failure(records[1].number, failure))
        stopping.stop("interrupted", 130)
        tell("epoch_ended", records[2], make_report(1, 0.7))
        ledger.add_epoch(records[2].number, make_report(1, 0.7))
        tell("trial_ended", ledger.complete(records[2].number))
        tell("trial_ended", ledger.fail(records[1].number, "RuntimeError: boom"))
    return state


def test_what_is_shown_from_afar_is_what_is_shown_there(ledger, space, make_report, stream, seen):
    state = study(ledger, space, make_report, stream)
    with EventReader(seen) as reader:
        for line in stream.getvalue().splitlines():
            reader.read(line)
    assert reader.state.counts == state.counts == {"pruned": 1, "complete": 1, "failed": 1}
    assert reader.state.paused == state.paused
    assert (reader.state.best_score, reader.state.best.params) == (0.7, state.best.params)
    assert (reader.state.budget, reader.state.time_budget, reader.state.epochs) == (5, 60.0, 3)
    assert reader.state.expected_epochs == 40
    assert reader.state.seconds == pytest.approx(state.seconds, abs=5)
    assert reader.stopping.reason == "interrupted"
    text = seen.file.getvalue()
    assert "trial 0001 paused  mean IoU 0.6000  2 epochs" in text
    assert "trial 0002 failed after epoch 0 (error)" in text
    assert "[2/5] trial 0003 complete  mean IoU 0.7000" in text
    assert "RuntimeError: boom" in text


def test_a_reader_that_comes_late_knows_what_runs(ledger, space, make_report, stream, seen):
    study(ledger, space, make_report, stream)
    lines = stream.getvalue().splitlines()
    with EventReader(seen) as reader:
        for line in lines[: next(n for n, line in enumerate(lines) if json.loads(line)["event"] == "paused")]:
            reader.read(line)
    assert sorted(reader.state.running) == [1, 2, 3]
    assert reader.state.running[1][1].epoch == 2
    seen.print(reader.view.render())
    assert "0001" in seen.file.getvalue()


def test_texts_and_lines_that_are_no_events_are_shown_as_they_are(stream, seen):
    there = Console(file=TextEvents(stream), color_system="standard", width=40)
    there.print("[red]a table[/red]", "of two\nlines")
    with there.status("of what moves nothing is left"):
        pass
    with EventReader(seen) as reader:
        for line in [*stream.getvalue().splitlines(), "Traceback [bold]", '{"a": 1}', '{"event": "b"}', "[1, 2]", "3"]:
            reader.read(line)
    assert "\x1b" in json.loads(stream.getvalue().splitlines()[0])["text"]
    assert seen.file.getvalue().splitlines() == [
        "a table of two",
        "lines",
        "Traceback [bold]",
        '{"a": 1}',
        '{"event": "b"}',
        "[1, 2]",
        "3",
    ]
