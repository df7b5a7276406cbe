from __future__ import annotations

import copy
import pickle

from ray.tune.search import Searcher

from search.ledger.ledger import Ledger
from search.ledger.records import Failure
from search.sampling.proposer import Proposer
from search.scheduling.schedulers import scheduler_for
from search.study.space import Parameter, Space
from search.tuning.next_trial import LedgerSearcher
from search.tuning.run_end import Stopping
from trainables.config import TrialConfig


def make(ledger, space, settings, budget, stopping=None):
    proposer = Proposer(ledger, space, settings, sampler="random")
    scheduler = scheduler_for(ledger, settings)
    return LedgerSearcher(ledger, proposer, scheduler, budget=budget, stopping=stopping or Stopping())


def test_it_suggests_whole_configurations_until_the_budget_is_spent(ledger, space, settings):
    searcher = make(ledger, space, settings, budget=3)
    requests = [searcher.suggest(f"t{number}") for number in range(3)]
    assert [request["number"] for request in requests] == [0, 1, 2]
    assert searcher.suggest("t3") is None  # one of those that run may break
    for number in range(3):
        searcher.stopping.running.leave(number)
        searcher.ended(number)
    assert searcher.suggest("t3") == Searcher.FINISHED
    for request in requests:
        config = TrialConfig.from_flat(request["config"])
        assert (config.training.max_epochs, config.training.seed) == (settings.max_epochs, settings.seed)
        assert request["config"] == config.to_flat()
        assert request["reported_epochs"] == 0


def test_orphans_come_first_with_what_is_known_of_them(ledger, space, settings, make_report, tmp_path):
    first = make(ledger, space, settings, budget=4)
    requests = [first.suggest(f"t{number}") for number in range(3)]
    ledger.add_epoch(0, make_report(1))
    ledger.add_epoch(0, make_report(2))
    ledger.prune(1)

    later = make(Ledger.create(tmp_path / "study"), space, settings, budget=4)
    assert later.remaining == 3
    again = [later.suggest(f"u{number}") for number in range(3)]
    assert [request["number"] for request in again] == [0, 2, 3]
    assert [request["reported_epochs"] for request in again] == [2, 0, 0]
    assert again[0]["config"] == requests[0]["config"]
    assert again[2]["config"] not in [request["config"] for request in requests]
    assert later.remaining == 0


def test_a_trial_that_broke_is_suggested_again_behind_its_last_epoch(ledger, space, settings, make_report):
    searcher = make(ledger, space, settings, budget=2)
    requests = [searcher.suggest(f"t{number}") for number in range(2)]
    ledger.add_epoch(0, make_report(1))
    for kind in ("process_lost", "out_of_memory", "out_of_memory"):
        ledger.add_failure(0, Failure(kind=kind, epoch=1, message=""))
    searcher.stopping.running.leave(0)
    searcher.requeue(0)
    assert searcher.remaining == 1
    assert searcher.suggest("u0") == requests[0] | {"reported_epochs": 1, "micro_batches": 4}
    searcher.stopping.running.leave(1)
    searcher.ended(1)
    assert searcher.suggest("u1") is None
    searcher.stopping.running.leave(0)
    searcher.ended(0)
    assert searcher.suggest("u1") == Searcher.FINISHED


def test_a_run_that_is_to_end_suggests_nothing(ledger, space, settings):
    stopping = Stopping()
    searcher = make(ledger, space, settings, budget=9, stopping=stopping)
    searcher.suggest("t0")
    stopping.stop("enough", 0)
    assert searcher.suggest("t1") == Searcher.FINISHED


def test_an_exhausted_space_ends_the_search(ledger, settings, monkeypatch):
    monkeypatch.setattr("search.sampling.proposer.RANDOM_ATTEMPTS", 20)  # of two configurations
    space = Space((Parameter(name="model.depth", choices=(2, 3), help=""),))
    searcher = make(ledger, space, settings, budget=9)
    assert {searcher.suggest(f"t{number}")["config"]["model.depth"] for number in range(2)} == {2, 3}
    assert searcher.suggest("t2") is None
    assert searcher.exhausted
    for number in range(2):
        searcher.stopping.running.leave(number)
        searcher.ended(number)
    assert searcher.suggest("t2") == Searcher.FINISHED


def test_a_smaller_budget_still_ends_what_was_begun(ledger, space, settings):
    make(ledger, space, settings, budget=2).suggest("t0")
    searcher = make(ledger, space, settings, budget=1)
    assert searcher.suggest("u0")["number"] == 0
    searcher.stopping.running.leave(0)
    searcher.ended(0)
    assert searcher.suggest("u1") == Searcher.FINISHED


def test_tunes_snapshots_of_it_are_empty(ledger, space, settings):
    assert vars(pickle.loads(pickle.dumps(make(ledger, space, settings, budget=1)))) == {}
    assert vars(copy.copy(make(ledger, space, settings, budget=1))) == {}
