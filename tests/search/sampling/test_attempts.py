"""How often a sampler is asked before another one is, and what counts as known."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from optuna.samplers import RandomSampler

from search.ledger.ledger import Ledger
from search.sampling import proposer as module
from search.sampling.proposer import Proposer
from search.study.space import Parameter, Space
from tests.made.studies import study_settings

DEPTHS = Space((Parameter(name="model.depth", choices=(2, 3, 4), help=""),))


def proposer(ledger, *, space=DEPTHS, **options):
    return Proposer(ledger, space, study_settings(seed=3), **{"sampler": "tpe"} | options)


def depth(proposal):
    return None if proposal is None else proposal.config["model.depth"]


@pytest.fixture
def draws(monkeypatch):
    """What samplers are made for, draw by draw."""
    found = []

    def spy(name, seed, number, attempt, **options):
        found.append((name, seed, number, attempt))
        assert options["max_epochs"] == 9
        assert [parameter.name for parameter in options["encoding"].parameters] == ["model.depth"]
        return RandomSampler(seed=attempt)

    monkeypatch.setattr(module, "sampler_for", spy)
    return found


def test_ten_draws_are_the_sampler_s_then_two_hundred_are_random(draws):
    assert (module.ATTEMPTS, module.RANDOM_ATTEMPTS) == (10, 200)
    ledger = Ledger.in_memory()
    ledger.begin(proposer(ledger).propose(0))
    del draws[:]
    assert proposer(ledger, sampler="tpe", fits=lambda config: False).propose(1) is None
    assert draws == [("tpe" if attempt < 10 else "random", 3, 1, attempt) for attempt in range(210)]


def test_the_first_draw_that_is_new_and_fits_is_taken(draws):
    tried = []

    def fits(config):
        tried.append(config["model.depth"])
        return len(tried) == 3

    proposal = proposer(Ledger.in_memory(), fits=fits).propose(0)
    assert len(draws) == 3
    assert depth(proposal) == tried[-1]
    assert proposal.params == {"model.depth": tried[-1]}
    assert proposal.distributions.keys() == {"model.depth"}


def test_what_did_not_fit_is_not_known_for_that(monkeypatch):
    monkeypatch.setattr(module, "RANDOM_ATTEMPTS", 20)
    allowed: set[int] = set()
    of = proposer(Ledger.in_memory(), sampler="random", fits=lambda config: config["model.depth"] in allowed)
    assert of.propose(0) is None
    allowed |= {2}
    assert depth(of.propose(0)) == 2


def test_what_was_proposed_is_known_before_it_begins():
    of = proposer(Ledger.in_memory(), sampler="random")
    found = [depth(of.propose(0)) for _ in range(4)]
    assert sorted(found[:3]) == [2, 3, 4]
    assert found[3] is None


def test_a_first_point_is_known_from_then_on():
    ledger = Ledger.in_memory()
    ledger.enqueue([{"model.depth": 3}])
    of = proposer(ledger, sampler="random")
    ledger.begin(first := of.propose(0))
    assert depth(first) == 3
    assert sorted(depth(of.propose(1)) for _ in range(2)) == [2, 4]
    assert of.propose(1) is None


def test_first_points_come_also_if_they_are_known_or_do_not_fit(draws):
    ledger = Ledger.in_memory()
    of = proposer(ledger, fits=lambda config: config["model.depth"] == 4)
    ledger.begin(of.propose(0))
    ledger.enqueue([{"model.depth": 4}, {"model.depth": 2}])
    del draws[:]
    for number, expected in ((1, 4), (2, 2)):
        proposal = of.propose(number)
        assert depth(proposal) == expected
        ledger.begin(proposal)
    assert draws == [("tpe", 3, 1, 0), ("tpe", 3, 2, 0)]
    assert of.propose(3) is None  # has no point of its own, and what fits is known


def test_what_a_first_point_leaves_out_is_drawn_by_the_sampler():
    space = Space((*DEPTHS.parameters, Parameter(name="model.dropout", low=0.0, high=0.5, help="")))
    ledger = Ledger.in_memory()
    freely = proposer(ledger, space=space, sampler="forest").propose(0)
    ledger.enqueue([{"model.depth": depth(freely) % 3 + 2}])  # another one
    proposal = proposer(ledger, space=space, sampler="forest").propose(0)
    assert proposal.params == {
        "model.depth": depth(freely) % 3 + 2,
        "model.dropout": freely.params["model.dropout"],
    }


def test_a_configuration_is_the_same_in_any_order_of_its_keys():
    """A database may return them in another one."""
    ledger = Ledger.in_memory()
    for number in range(3):
        ledger.begin(proposer(ledger, sampler="random").propose(number))
    turned = [SimpleNamespace(config=dict(reversed(record.config.items()))) for record in ledger.records()]
    other = Ledger.in_memory()
    other.records = lambda: turned
    assert proposer(other, sampler="random").propose(0) is None


def test_a_configuration_has_the_study_s_fixed_part():
    config = proposer(Ledger.in_memory()).propose(0).config
    assert (config["training.seed"], config["training.max_epochs"], config["training.patience"]) == (3, 9, 9)
