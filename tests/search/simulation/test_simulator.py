from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from search.ledger.ledger import Ledger
from search.simulation.curves import Curve, curves_of, read_curves, write_curves
from search.simulation.simulator import Simulation, simulate
from search.simulation.surrogate import FEWEST, Surrogate, _predict, simulated_reports
from search.tuning.callbacks import Callback
from tests.made.studies import begin, study_settings

MAX_EPOCHS = 9


def true_curve(params, length=MAX_EPOCHS):
    """Wide networks with little dropout are best; how fast one learns depends on the optimizer."""
    top = 0.4 + params["model.width"] / 50 - 0.3 * params["model.dropout"]
    speed = {"adamw": 0.5, "adam": 0.4, "sgd": 0.2}[params["optimizer.name"]]
    return [top * (1 - (1 - speed) ** epoch) for epoch in range(1, length + 1)]


def world(record):
    epochs = ((score, float(record.params["model.width"])) for score in true_curve(record.params))
    return simulated_reports(epochs, max_epochs=MAX_EPOCHS, patience=MAX_EPOCHS)


def run(simulation, callbacks=()):
    ledger = Ledger.in_memory()
    simulate(simulation, world, ledger, list(callbacks))
    return ledger.records()


@pytest.fixture
def simulation(space):
    return Simulation(settings=study_settings(), space=space, sampler="random", trials=30, slots=1)


def test_a_simulated_search_is_a_whole_one(simulation):
    heard = []

    class Heard(Callback):
        def trial_started(self, record):
            heard.append(("start", record.number))

        def trial_ended(self, record):
            heard.append((record.state, record.number))

    records = run(simulation, [Heard()])
    assert len(records) == 30
    assert {record.state for record in records} == {"complete", "pruned"}
    for record in records:
        assert [report.score for report in record.reports] == true_curve(record.params, len(record.reports))
        assert (len(record.reports) == MAX_EPOCHS) == (record.state == "complete")
        assert heard.count(("start", record.number)) == heard.count((record.state, record.number)) == 1
    settings = dataclasses.replace(simulation.settings, grace_epochs=MAX_EPOCHS)
    whole = run(dataclasses.replace(simulation, settings=settings))
    assert {record.state for record in whole} == {"complete"}
    assert [record.config for record in whole] == [record.config for record in records]


@pytest.mark.parametrize("trials", [1, 2, 5, 30])
@pytest.mark.parametrize("slots", [1, 4])
def test_promotion_ends_with_a_whole_trial_and_none_that_waits(slots, trials, simulation):
    settings = dataclasses.replace(simulation.settings, scheduler="asha-promotion")
    records = run(dataclasses.replace(simulation, settings=settings, trials=trials, slots=slots))
    assert len(records) == trials
    assert {record.state for record in records} <= {"complete", "pruned"}
    assert sum(record.state == "complete" for record in records) >= 1
    for record in records:
        assert [report.score for report in record.reports] == true_curve(record.params, len(record.reports))
        assert (len(record.reports) == MAX_EPOCHS) == (record.state == "complete")
        assert len(record.reports) in (1, 3, MAX_EPOCHS)  # the rungs, and the end
    if trials == 30:
        whole = max(records, key=lambda record: len(record.reports))
        better = sum(true_curve(record.params)[0] > true_curve(whole.params)[0] for record in records)
        assert better < trials / 3  # it was promoted from the first rung


def test_the_same_simulation_ends_the_same(simulation):
    several = dataclasses.replace(simulation, slots=4, sampler="tpe")
    first, again = ([(r.config, r.state, len(r.reports)) for r in run(several)] for _ in "12")
    assert first == again


def test_virtual_time_decides_who_reports_first(simulation):
    """Narrow networks train faster: with two slots they overtake."""
    order = []

    class Heard(Callback):
        def epoch_ended(self, record, report):
            order.append((record.params["model.width"], record.number))

    settings = dataclasses.replace(simulation.settings, grace_epochs=MAX_EPOCHS)
    run(dataclasses.replace(simulation, settings=settings, trials=8, slots=8), [Heard()])
    assert {width for width, _ in order[:2]} == {8}
    assert {width for width, _ in order[-9:]} == {16}


def test_a_budget_of_epochs_ends_it(simulation):
    records = run(dataclasses.replace(simulation, trials=1000, slots=3, epochs=50))
    assert 50 <= sum(len(record.reports) for record in records) <= 53


@pytest.fixture
def recorded(simulation):
    settings = dataclasses.replace(simulation.settings, grace_epochs=MAX_EPOCHS)
    return curves_of(run(dataclasses.replace(simulation, settings=settings, trials=60)))


def test_curves_come_back_from_their_table(recorded, space, tmp_path):
    write_curves(recorded, space, tmp_path / "curves.parquet")
    back = read_curves(tmp_path / "curves.parquet")
    assert [curve.scores for curve in back] == [curve.scores for curve in recorded]
    assert [curve.seconds for curve in back] == [curve.seconds for curve in recorded]
    assert json.dumps([curve.params for curve in back], sort_keys=True) == json.dumps(
        [curve.params for curve in recorded], sort_keys=True
    )


def test_only_trials_that_scored_in_every_epoch_have_a_curve(ledger, space, make_report):
    for _ in range(3):
        begin(ledger, space)
    ledger.add_epoch(0, make_report(1, 0.5))
    ledger.prune(0)
    ledger.add_epoch(1, make_report(1, 0.5))
    ledger.add_epoch(1, make_report(2, float("nan"), ended="diverged"))
    ledger.fail(1, "diverged")
    (curve,) = curves_of(ledger.records())
    assert (curve.scores, curve.whole) == ((0.5,), False)


def test_the_surrogate_knows_good_from_bad_and_says_how_well(recorded, space, monkeypatch):
    monkeypatch.setattr("search.simulation.surrogate.TREES", 20)
    surrogate = Surrogate(space, recorded, max_epochs=MAX_EPOCHS, patience=MAX_EPOCHS)
    assert surrogate.quality.rank_correlation > 0.7
    assert 0 < surrogate.quality.error < 0.1
    base = recorded[0].params | {"model.dropout": 0.1, "optimizer.name": "adamw"}
    wide, narrow = (base | {"model.width": width} for width in (16, 8))
    finals = [np.mean([surrogate.reports(params, seed)[-1].score for seed in range(8)]) for params in (wide, narrow)]
    assert finals[0] > finals[1] + 0.05
    reports = surrogate.reports(wide, 0)
    assert [report.epoch for report in reports] == list(range(1, MAX_EPOCHS + 1))
    assert reports[-1].ended == "max_epochs"
    assert reports[0].train_seconds > surrogate.reports(narrow, 0)[0].train_seconds
    assert reports == surrogate.reports(wide, 0)
    assert reports != surrogate.reports(wide, 1)


def test_simulated_trials_stop_early_as_real_ones_do():
    epochs = ((score, 1.0) for score in [0.1, 0.5, 0.4, 0.3, 0.6])
    reports = list(simulated_reports(epochs, max_epochs=5, patience=2))
    assert [report.ended for report in reports] == [None, None, None, "early_stopping"]
    assert [report.best_epoch for report in reports] == [1, 2, 2, 2]


def test_too_little_to_model_is_refused(recorded, space):
    with pytest.raises(ValueError, match=f"{FEWEST - 1} learning curves are too few"):
        Surrogate(space, recorded[: FEWEST - 1], max_epochs=MAX_EPOCHS, patience=9)
    short = [
        Curve(params=curve.params, scores=curve.scores[:3], seconds=curve.seconds[:3], whole=False)
        for curve in recorded
    ]
    with pytest.raises(ValueError, match="no recorded trial has 9 epochs, the longest was stopped after 3"):
        Surrogate(space, short, max_epochs=MAX_EPOCHS, patience=9)


def test_trials_that_all_ended_by_early_stopping_are_enough(recorded, space, monkeypatch):
    """Simulated trials end as they did: beyond the longest curve the model knows of nothing better."""
    monkeypatch.setattr("search.simulation.surrogate.TREES", 5)
    curves = [
        Curve(params=curve.params, scores=(0.5, 0.4, 0.3), seconds=curve.seconds[:3], whole=True) for curve in recorded
    ]
    surrogate = Surrogate(space, curves, max_epochs=MAX_EPOCHS, patience=2)
    reports = surrogate.reports(recorded[0].params, 0)
    assert [report.ended for report in reports] == [None, None, "early_stopping"]


def test_a_tree_is_fitted_to_a_bounded_number_of_epochs_and_predicts_as_its_library_does(recorded, space, monkeypatch):
    monkeypatch.setattr("search.simulation.surrogate.TREES", 5)
    monkeypatch.setattr("search.simulation.surrogate.MOST_ROWS", 7)
    surrogate = Surrogate(space, recorded, max_epochs=MAX_EPOCHS, patience=MAX_EPOCHS)
    drawn = [tree.tree_.weighted_n_node_samples[0] for tree in surrogate._score.estimators_]
    assert drawn == [7] * 5
    rows = surrogate._encoded(recorded[0].params, MAX_EPOCHS)
    np.testing.assert_allclose(_predict(surrogate._score, rows), surrogate._score.predict(rows), rtol=1e-12)
