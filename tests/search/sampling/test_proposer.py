from __future__ import annotations

import json

import optuna
import pytest
from optuna.trial import TrialState, create_trial

from search.ledger.ledger import Ledger
from search.sampling import history
from search.sampling import proposer as proposer_module
from search.sampling.history import SamplerHistory
from search.sampling.proposer import Proposer
from search.sampling.samplers import SAMPLERS
from search.study.space import Parameter, Space
from tests.made.studies import begin
from trainables.config import TrialConfig


def propose(ledger, space, settings, sampler, numbers, make_report):
    """Each trial scores what its configuration says."""
    proposer = Proposer(ledger, space, settings, sampler=sampler)
    found = []
    for number in numbers:
        proposal = proposer.propose(number)
        found.append(proposal.params)
        ledger.begin(proposal)
        ledger.add_epoch(number, make_report(1, proposal.params["model.width"] / 20))
        if number % 3:
            ledger.complete(number)
        elif number % 2:
            ledger.prune(number)
    return found


def small(space):
    kept = ("model.width", "model.bottleneck", "model.aspp_rates", "model.dropout")
    return Space(tuple(parameter for parameter in space.parameters if parameter.name in kept))


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_a_study_that_goes_on_proposes_what_an_undisturbed_one_does(sampler, space, settings, make_report, tmp_path):
    cut, end = 12, 15
    if sampler == "gp":  # its model is slow: fewer parameters, and two trials that it proposes
        cut, end, space = 11, 12, small(space)
    whole = propose(Ledger.in_memory(), space, settings, sampler, range(end), make_report)
    first = propose(Ledger.create(tmp_path / "cut"), space, settings, sampler, range(cut), make_report)
    rest = propose(Ledger.create(tmp_path / "cut"), space, settings, sampler, range(cut, end), make_report)
    assert first + rest == whole
    assert len({json.dumps(params, sort_keys=True) for params in whole}) == end


def test_the_ledger_gets_whole_trials_only(ledger, space, settings):
    proposal = Proposer(ledger, space, settings, sampler="tpe").propose(0)
    assert ledger.records() == []
    record = ledger.begin(proposal)
    assert (record.state, record.params, record.config) == ("running", proposal.params, proposal.config)
    assert record.config == TrialConfig.from_flat(record.config).to_flat()
    assert record.config["training.seed"] == settings.seed


def test_sampling_learns_from_the_ledger(ledger, settings, make_report):
    """TPE soon prefers what scored best; what runs counts as well, so that neighbours stay apart."""
    space = Space((Parameter(name="model.dropout", low=0.0, high=0.9, help=""),))
    proposer = Proposer(ledger, space, settings, sampler="tpe")
    for number in range(40):
        record = ledger.begin(proposer.propose(number))
        ledger.add_epoch(number, make_report(1, 1 - abs(record.params["model.dropout"] - 0.7)))
        ledger.complete(number)
    late = [record.params["model.dropout"] for record in ledger.records()[25:]]
    assert sum(abs(value - 0.7) < 0.15 for value in late) > len(late) / 2


def test_first_points_come_first_as_they_are_and_the_rest_is_sampled(ledger, space, settings):
    ledger.enqueue([{"model.depth": 2, "model.skip": "gated"}, {"model.depth": 2, "model.skip": "add"}])
    proposer = Proposer(ledger, space, settings, sampler="tpe")
    params = []
    for number in range(2):
        params.append(proposer.propose(number).params)
        begin(ledger, space)
    assert [(point["model.depth"], point["model.skip"]) for point in params] == [(2, "gated"), (2, "add")]
    assert all("optimizer.name" in point for point in params)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_no_configuration_comes_twice_and_a_small_space_is_exhausted(
    sampler, ledger, settings, make_report, monkeypatch
):
    monkeypatch.setattr(proposer_module, "RANDOM_ATTEMPTS", 40)
    space = Space(
        (
            Parameter(name="model.depth", choices=(2, 3), help=""),
            Parameter(name="model.bottleneck", choices=("plain", "aspp"), help=""),
            Parameter(
                name="model.aspp_rates", choices=("1-2-4", "2-4-6"), when=("model.bottleneck", ("aspp",)), help=""
            ),
        )
    )
    proposer = Proposer(ledger, space, settings, sampler=sampler)
    for number in range(6):
        ledger.begin(proposer.propose(number))
        ledger.add_epoch(number, make_report(1, 0.1 * number))
        ledger.complete(number)
    assert len({json.dumps(record.config) for record in ledger.records()}) == 6
    assert proposer.propose(6) is None
    assert Proposer(ledger, space, settings, sampler=sampler).propose(6) is None


def frozen(number, state, value=None, intermediate=None):
    trial = create_trial(state=state, value=value, intermediate_values=intermediate or {})
    trial.number = number
    return trial


def test_of_many_trials_the_best_the_newest_and_the_running_ones_are_seen(monkeypatch, ledger, space, make_report):
    monkeypatch.setattr(history, "MOST_SEEN", 4)
    monkeypatch.setattr(history, "BEST_SEEN", 2)
    curves = {0: [0.2], 1: [0.9], 2: [0.95], 3: None, 4: [0.3, 0.1], 5: [0.5], 6: [0.2], 7: [0.3]}
    seen = SamplerHistory(ledger)
    for number, curve in curves.items():
        begin(ledger, space)
        for epoch, score in enumerate(curve or [], start=1):
            ledger.add_epoch(number, make_report(epoch, score))
        if number in (0, 1):
            ledger.complete(number)
        elif number == 5:
            ledger.fail(number, "boom")
        elif curve is not None:
            ledger.prune(number)
        if number == 4:  # few enough: all that ended well, and what runs
            assert [trial.number for trial in seen.at(5)] == [0, 1, 2, 3, 4]
    # 1 and 0 are complete, and so the best; 6 and 7 the newest.
    assert [trial.number for trial in seen.at(8)] == [0, 1, 3, 6, 7]
    assert [trial.number for trial in SamplerHistory(ledger).at(8)] == [0, 1, 3, 6, 7]
    ledger.add_epoch(3, make_report(1, 0.99))
    ledger.complete(3)
    begin(ledger, space)
    assert [trial.number for trial in seen.at(9)] == [1, 3, 6, 7, 8]


def test_paused_trials_look_pruned_and_stay_in_sight(ledger, space, make_report):
    for number in range(3):
        begin(ledger, space)
        ledger.add_epoch(number, make_report(1, 0.1 * number))
    seen = SamplerHistory(ledger).at(3, waiting=[1])
    assert [trial.state for trial in seen] == [TrialState.RUNNING, TrialState.PRUNED, TrialState.RUNNING]
    assert seen[1].value == pytest.approx(0.1)
    assert ledger.records()[1].state == "running"


def test_the_order_of_the_best_is_that_of_tpe():
    """The trials that TPE models as good ones are all among those that stay."""
    from optuna.samplers._tpe.sampler import _split_trials

    trials = [frozen(number, TrialState.COMPLETE, (number * 7 % 50) / 50) for number in range(10)]
    trials += [
        frozen(number, TrialState.PRUNED, 0.0, {1: 0.0, 1 + number % 4: (number * 11 % 97) / 97})
        for number in range(10, 60)
    ]
    study = optuna.create_study(direction="maximize")
    good, _ = _split_trials(study, trials, 25)
    assert {trial.number for trial in good} == {trial.number for trial in sorted(trials, key=history._rank)[:25]}


def test_what_does_not_fit_is_proposed_by_nobody_but_the_user(ledger, space, settings, monkeypatch):
    monkeypatch.setattr(proposer_module, "RANDOM_ATTEMPTS", 20)

    def fits(config):
        return config["model.depth"] < 4

    ledger.enqueue([{"model.depth": 4}])
    proposer = Proposer(ledger, space, settings, sampler="random", fits=fits)
    depths = [ledger.begin(proposer.propose(number)).params["model.depth"] for number in range(20)]
    assert depths[0] == 4
    assert set(depths[1:]) == {2, 3}
    assert Proposer(ledger, space, settings, sampler="tpe", fits=lambda config: False).propose(20) is None
