"""No text of somebody else's reaches a terminal as anything but text, whatever prints it."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path

import numpy as np
import pytest

import search
from search.cli import local_studies
from search.cli.options.search_parser import parse
from search.exit_status import refuse
from search.formatting import clean
from search.ledger.ledger import Ledger
from search.ledger.records import Failure
from search.tuning.run_end import Stopping
from search.views.cost_table import receipt
from search.views.events import EventReader, TextEvents, write_event
from search.views.leaderboard import leaderboard
from search.views.live_view import LiveView
from search.views.progress import ProgressState
from search.views.safe_console import Terminal
from tests.made.records import trial_record
from trainables.data.description import DataDescription
from trainables.data.npz import read_npz
from trainables.data.report import DataReport, warnings_of

ACTS = "\x1b]0;owned\x07 \x1b[2J \x9b31m \r \x08 \x00 \x7f \u202e \ud800"
"""Sets a title, clears the screen, colours, writes over the line, ..."""
MARKUP = "[bold red]x[/] [link=http://evil.example]y[/link] :boom:"
FOREIGN = f"a{ACTS}b {MARKUP}"
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture
def terminal():
    return Terminal(file=io.StringIO(), width=2000, force_terminal=False)


def shown(terminal):
    return terminal.file.getvalue()


def record(**changes):
    values = {"params": {FOREIGN: FOREIGN, "x": FOREIGN}, "error": FOREIGN, "config": {"training.max_epochs": FOREIGN}}
    return trial_record(0, [0.5], **values | changes)


def of_leaderboard(terminal):
    terminal.print(leaderboard([record()], width=terminal.width))


def of_live_view(terminal):
    failed = record(state="failed", failures=(Failure(kind=FOREIGN, epoch=1, message=FOREIGN),))
    state = ProgressState(budget=2, time_budget=None, past=[record()])
    view = LiveView(state, terminal, Stopping())
    state.trial_started(record(state="running"))
    for hear in (view.attempt_failed, view.trial_paused, view.trial_ended):
        hear(failed)
    view.trial_ended(record())
    terminal.print(view.render())


def of_events(terminal):
    stream = io.StringIO()
    write_event(stream, "text", text=FOREIGN)
    write_event(stream, FOREIGN, text=FOREIGN)
    Terminal(file=TextEvents(stream), color_system="standard", width=500).print(FOREIGN, style="red")
    with EventReader(terminal) as reader:
        for line in (*stream.getvalue().splitlines(), FOREIGN):
            reader.read(line)


def of_the_data(terminal):
    description = DataDescription(class_names=(FOREIGN, "sand", f"{FOREIGN} 2"), ignored_label=None)
    counts = np.array([[1, 0, 0], [0, 3, 0]])
    report = DataReport(
        name=FOREIGN,
        uri=FOREIGN,
        synthetic=False,
        labelled=2,
        unlabelled=0,
        sizes="4x4",
        dropped=(),
        doubtful=(),
        class_shares=dict.fromkeys(description.class_names, 0.3),
        parts={"train": 1, "val": 1},
        warnings=tuple(warnings_of(description, counts, {"train": np.array([0]), "val": np.array([1])})),
    )
    terminal.print(report.summary(), markup=False, soft_wrap=True)


def of_costs(terminal):
    terminal.print(receipt([record()], 9, 1.0))


PRINTERS = [of_leaderboard, of_live_view, of_events, of_the_data, of_costs]


@pytest.mark.parametrize("show", PRINTERS)
def test_what_views_print(show, terminal):
    show(terminal)
    text = shown(terminal)
    assert text
    assert not FORBIDDEN.search(text), FORBIDDEN.search(text)
    if show is not of_costs:
        assert MARKUP in text


def test_studies_with_any_name_are_listed(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "600")
    name = FOREIGN.replace("/", "|").replace("\x00", "").replace("\ud800", "")
    Ledger.create(tmp_path / name)
    (tmp_path / f"{name} 2").mkdir()
    (tmp_path / f"{name} 2" / "ledger.journal").write_text(f"{FOREIGN!r}\n")
    options = parse(["--storage", str(tmp_path), "--status"])
    local_studies.run_study_command(options)
    local_studies.run_study_command(dataclasses.replace(options, status=name))
    text = capsys.readouterr().out
    assert not FORBIDDEN.search(text)
    assert MARKUP.replace("/", "|") in text


def test_what_is_refused(capsys):
    assert refuse(ValueError(FOREIGN)) == 2
    text = capsys.readouterr().err
    assert not FORBIDDEN.search(text)
    assert MARKUP in text


def test_keys_of_a_file(capsys):
    buffer = io.BytesIO()
    np.savez(buffer, **{FOREIGN.replace("\x00", "").replace("\ud800", ""): np.zeros(3)})
    with pytest.raises(ValueError, match="has no key 'training_set'") as refused:
        read_npz(buffer, "x.npz")
    refuse(refused.value)
    assert not FORBIDDEN.search(capsys.readouterr().err)


def test_cleaning_leaves_length_line_breaks_tabs_and_all_letters():
    assert len(clean(FOREIGN)) == len(FOREIGN)
    assert clean("Größe\t火星\n🚀") == "Größe\t火星\n🚀"


def test_a_terminals_own_colours_stay():
    file = io.StringIO()
    Terminal(file=file, force_terminal=True, color_system="standard").print("\x1b[2Jx", style="red")
    assert file.getvalue() == "\x1b[31m\N{REPLACEMENT CHARACTER}[2Jx\x1b[0m\n"


def test_all_that_prints_does_it_so():
    """No module makes a console of its own, and what goes to a stream directly is cleaned or fixed."""
    root = Path(search.__file__).parents[1]
    for path in (*root.glob("search/**/*.py"), *root.glob("reports/**/*.py"), *root.glob("trainables/**/*.py")):
        text = path.read_text()
        if path.name != "terminal.py":
            assert not re.search(r"\bConsole\(", text), path
        for printed in re.findall(r"(?<![.\w])print\((.*)\)$", text, re.MULTILINE):
            assert "{" not in printed or "clean(" in printed, f"{path}: {printed}"
        for written in re.findall(r"sys\.std(?:out|err)\.write\((.*)\)$", text, re.MULTILINE):
            assert "clean(" in written, f"{path}: {written}"
