from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from pyarrow import csv

from search.ledger.ledger import Ledger
from search.simulation.curves import read_curves
from search.simulation.simulator import Simulation, simulate
from search.simulation.surrogate import simulated_reports
from tests.made.studies import study_settings
from tests.processes.scripts import run_script

ROOT = Path(__file__).resolve().parents[3]
MAX_EPOCHS = 8


def world(record):
    """Learning curves that do not cross: early stopping pays."""
    top = 0.3 + record.params["model.width"] / 50 + record.params["model.dropout"] / 2
    epochs = ((top * (1 - 0.5**epoch), 1.0) for epoch in range(1, MAX_EPOCHS + 1))
    return simulated_reports(epochs, max_epochs=MAX_EPOCHS, patience=9)


@pytest.fixture
def study(space, tmp_path):
    """A recorded one, of whole learning curves."""

    def make(name="study", trials=30, **changes):
        settings = study_settings(max_epochs=MAX_EPOCHS, grace_epochs=MAX_EPOCHS, **changes)
        ledger = Ledger.create(tmp_path / name)
        ledger.settings = dataclasses.asdict(settings)
        simulate(
            Simulation(settings=settings, space=space, sampler="random", trials=trials, slots=2), world, ledger, []
        )
        return tmp_path / name

    return make


@pytest.mark.slow
def test_it_finds_that_stopping_pays(study, tmp_path, logs):
    folder = study()
    options = ("--seeds", 3, "--sampler", "random", "--grace-epochs", 1, 8, "--reduction-factor", 3, "--slots", 2)
    done = run_script("search/replay.py", [folder, *options], cwd=tmp_path, logs=logs)
    assert done.returncode == 0, done.stderr
    assert "30 recorded learning curves, 240 epochs" in done.stdout
    expected = "--sampler random --max-concurrent 2 --scheduler asha-promotion --rung-metric best "
    expected += "--reduction-factor 3 --grace-epochs 1"
    assert f"recommended: {expected} (half of its searches" in done.stdout
    assert len(read_curves(folder / "replay" / "curves.parquet")) == 30
    rows = {row["grace_epochs"]: row for row in csv.read_csv(folder / "replay" / "replay.csv").to_pylist()}
    assert set(rows) == {1, 8}
    reached = [value for name, value in rows[1].items() if name.startswith("median epochs to")]
    assert 0 < reached[0] < 240
    assert rows[1]["lower quartile"] <= rows[1]["median best"] <= rows[1]["upper quartile"]
    assert (folder / "replay" / "replay.png").stat().st_size > 10_000


def test_half_of_the_searches_reach_the_target_or_nobody_says_when():
    from search.simulation.outcomes import Choice, Outcome

    outcome = Outcome(
        choice=Choice("tpe", 4, 1, 3, "asha-stopping", "last"), best=np.array([[0.1, 0.5, 0.5], [0.2, 0.2, 0.7]])
    )
    assert outcome.final == pytest.approx(0.6)
    assert outcome.epochs_to(0.6) == 3  # one of two
    assert outcome.epochs_to(0.5) == 2
    assert outcome.epochs_to(0.8) is None
    assert Outcome(choice=outcome.choice, best=np.array([[0.9], [0.1], [0.1]])).epochs_to(0.5) is None


@pytest.mark.parametrize(
    ("curves", "correlation", "reasons"),
    [
        (30, 0.5, []),
        (29, 0.5, ["29 learning curves are recorded, fewer than 30"]),
        (30, 0.49, ["the model's rank correlation is 0.49, below 0.5"]),
        (30, float("nan"), ["the model's rank correlation is unknown, below 0.5"]),
        (12, -0.2, ["12 learning curves are recorded, fewer than 30", "the model's rank correlation is -0.20, below"]),
    ],
)
def test_a_model_that_knows_too_little_recommends_nothing(curves, correlation, reasons):
    """It says why, and what would help."""
    from search.cli.replay_command import advice
    from search.simulation.outcomes import Choice, Outcome
    from search.simulation.surrogate import Quality

    outcomes = [
        Outcome(choice=Choice("tpe", 4, grace, 3, "asha-stopping", "last"), best=np.array([best]))
        for grace, best in ((1, [0.1, 0.5, 0.5]), (2, [0.1, 0.1, 0.5]))
    ]
    text = advice(outcomes, 0.5, Quality(error=0.1, rank_correlation=correlation), curves)
    if not reasons:
        assert text.startswith("recommended: --sampler tpe --max-concurrent 4 ")
        assert text.endswith("--grace-epochs 1 (half of its searches reach 0.5000 within 2 epochs)")
    else:
        assert text.startswith("nothing is recommended, because ")
        assert all(reason in text for reason in reasons)
        assert "--sampler" not in text.partition(":")[0]
        assert "continue the study with a larger --budget" in text


def test_what_cannot_be_replayed_is_refused_in_words(study, tmp_path):
    from search.cli.options.replay_parser import parser
    from search.cli.replay_command import run

    cases = {
        (tmp_path / "gone",): "no study there",
        (study("few", trials=4),): "4 learning curves are too few for a model",
        (study("one"), study("other", profile="gpu")): "replay them separately",
        (study("systems", systems=["a-ce"], trials=1),): "is a study of systems, but only searches can be replayed",
    }
    for folders, message in cases.items():
        with pytest.raises(ValueError, match=message):
            run(parser().parse_args(list(map(str, folders))))
        assert not (folders[0] / "replay").exists()


@pytest.mark.slow
def test_a_study_that_is_not_written_to_has_its_results_elsewhere(study, tmp_path, logs):
    folder = study(trials=12)
    before = {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))}
    options = ("--seeds", 1, "--sampler", "random", "--grace-epochs", 8, "--reduction-factor", 3)
    done = run_script("search/replay.py", [folder, *options, "--output", "a/b"], cwd=tmp_path, logs=logs)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == {"curves.parquet", "replay.csv", "replay.png"}
    assert {path: path.stat().st_mtime_ns for path in (folder, *folder.rglob("*"))} == before
    done = run_script("search/replay.py", [folder, *options, "--output", "/proc/none"], cwd=tmp_path, logs=logs)
    assert done.returncode == 2
    assert done.stderr == (
        "error: /proc/none: cannot be used (No such file or directory); give another folder with --output\n"
    )
