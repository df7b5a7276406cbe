from __future__ import annotations

import copy
import pickle

from ray.tune.search import Searcher

from search.ledger import Ledger
from search.searcher import LedgerSearcher
from trainables.config import TrialConfig


def make(ledger, space, settings, budget):
    return LedgerSearcher(ledger, space, settings, sampler="random", budget=budget)


def test_it_suggests_whole_configurations_until_the_budget_is_spent(ledger, space, settings):
    searcher = make(ledger, space, settings, budget=3)
    requests = [searcher.suggest(f"t{number}") for number in range(3)]
    assert [request["number"] for request in requests] == [0, 1, 2]
    assert searcher.suggest("t3") == Searcher.FINISHED
    for request in requests:
        config = TrialConfig.from_flat(request["config"])
        assert (config.training.max_epochs, config.training.seed) == (settings.max_epochs, settings.seed)
        assert request["config"] == config.to_flat()
        assert request["told_epochs"] == 0


def test_orphans_come_first_with_what_is_known_of_them(ledger, space, settings, make_report, tmp_path):
    first = make(ledger, space, settings, budget=4)
    requests = [first.suggest(f"t{number}") for number in range(3)]
    ledger.add_epoch(0, make_report(1))
    ledger.add_epoch(0, make_report(2))
    ledger.prune(1)

    later = make(Ledger.open(tmp_path / "study"), space, settings, budget=4)
    assert later.remaining == 3
    again = [later.suggest(f"u{number}") for number in range(3)]
    assert [request["number"] for request in again] == [0, 2, 3]
    assert [request["told_epochs"] for request in again] == [2, 0, 0]
    assert again[0]["config"] == requests[0]["config"]
    assert again[2]["config"] not in [request["config"] for request in requests]
    assert later.suggest("u3") == Searcher.FINISHED


def test_a_smaller_budget_still_ends_what_was_begun(ledger, space, settings):
    make(ledger, space, settings, budget=2).suggest("t0")
    searcher = make(ledger, space, settings, budget=1)
    assert searcher.suggest("u0")["number"] == 0
    assert searcher.suggest("u1") == Searcher.FINISHED


def test_tunes_snapshots_of_it_are_empty(ledger, space, settings):
    assert vars(pickle.loads(pickle.dumps(make(ledger, space, settings, budget=1)))) == {}
    assert vars(copy.copy(make(ledger, space, settings, budget=1))) == {}
