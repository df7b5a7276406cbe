"""What the searcher suggests when: trials that are to go on, promoted ones, new ones; and when it suggests nothing."""

from __future__ import annotations

import pytest
from ray.tune.search import Searcher

from search.ledger.ledger import Ledger
from search.ledger.records import Failure, Proposal
from search.tuning.next_trial import LedgerSearcher
from search.tuning.run_end import Stopping
from tests.made.studies import epoch_report


class Proposer:
    """Proposes so many configurations."""

    def __init__(self, left: int):
        self.left = left
        self.asked: list[tuple[int, list[int]]] = []

    def propose(self, number, waiting=()):
        self.asked.append((number, list(waiting)))
        if self.left == 0:
            return None
        self.left -= 1
        return Proposal(params={}, distributions={}, config={"number": number})


class Scheduler:
    """Promotes the trials that it is told to; `at_last` ones when no new trial follows."""

    def __init__(self, waiting=()):
        self.waiting = list(waiting)
        self.next: list[int] = []
        self.at_last: list[int] = []
        self.asked: list[bool] = []

    def promote(self, *, last=False):
        self.asked.append(last)
        found = self.next or (self.at_last if last else [])
        return found.pop(0) if found else None


class Study:
    def __init__(self, *states, budget, waiting=(), slots=None, proposals=99):
        self.ledger = Ledger.in_memory()
        for number, state in enumerate(states):
            self.ledger.begin(Proposal(params={}, distributions={}, config={"number": number}))
            self.ledger.add_epoch(number, epoch_report(1))
            if state == "failed":
                self.ledger.fail(number, "a bug")
            elif state != "running":
                getattr(self.ledger, {"complete": "complete", "pruned": "prune"}[state])(number)
        self.proposer, self.scheduler, self.stopping = Proposer(proposals), Scheduler(waiting), Stopping()
        self.searcher = LedgerSearcher(
            self.ledger, self.proposer, self.scheduler, budget=budget, stopping=self.stopping, slots=slots
        )

    @property
    def running(self):
        return self.stopping.running.numbers

    def leaves(self, number, hook=None):
        """The trial leaves its slot, as the recorder says it: first to the table of running trials."""
        self.stopping.running.leave(number)
        if hook is not None:
            getattr(self.searcher, hook)(number)

    def suggest(self):
        """The number of the trial that comes next, or what is said instead."""
        found = self.searcher.suggest("t")
        return found["number"] if isinstance(found, dict) else found


def test_first_come_those_that_go_on_then_promoted_ones_then_new_ones():
    study = Study("running", "running", "complete", "running", "running", budget=7, waiting=[1, 4])
    study.scheduler.next = [4, 1]
    assert study.searcher.remaining == 4  # 0 and 3 go on, two new ones follow
    assert [study.suggest() for _ in range(6)] == [0, 3, 4, 1, 5, 6]
    assert study.searcher.remaining == 0
    assert study.suggest() is None
    assert study.running == {0, 1, 3, 4, 5, 6}


@pytest.mark.parametrize("state", ["complete", "pruned", "failed"])
def test_trials_that_have_ended_count_and_are_not_suggested_again(state):
    study = Study(state, "running", state, budget=4)
    assert (study.searcher.to_resume, study.searcher.remaining) == ([1], 2)
    assert [study.suggest() for _ in range(3)] == [1, 3, None]


def test_a_budget_below_what_the_study_holds_adds_none_to_it():
    study = Study("running", "complete", "complete", budget=1)
    assert (study.searcher.budget, study.searcher.remaining) == (3, 1)
    assert study.suggest() == 0
    study.leaves(0, "ended")
    assert study.suggest() == Searcher.FINISHED
    assert len(study.ledger.records()) == 3


def test_a_promotion_is_the_last_when_no_trial_is_left_to_suggest_first():
    study = Study("running", budget=2, waiting=[0])
    study.scheduler.at_last = [0]
    assert study.suggest() == 1
    assert study.scheduler.asked == [False]
    assert study.suggest() == 0
    assert study.scheduler.asked == [False, True]


def test_paused_trials_are_not_promoted_for_want_of_others_while_one_that_broke_is_to_go_on():
    study = Study("running", "running", budget=2, waiting=[1])
    study.scheduler.at_last = [1]
    assert [study.suggest(), study.suggest()] == [0, 1]
    study.leaves(0, "requeue")
    study.leaves(1, "requeue")
    assert study.searcher.remaining == 2
    assert [study.suggest(), study.suggest()] == [0, 1]  # in the order in which they broke
    assert study.scheduler.asked == [True]


def test_the_proposer_hears_the_number_of_the_next_trial_and_who_waits():
    study = Study("running", "complete", budget=4, waiting=[0])
    assert [study.suggest(), study.suggest()] == [2, 3]
    study.scheduler.waiting.append(3)
    study.searcher.budget = 5
    assert study.suggest() == 4
    assert study.proposer.asked == [(2, [0]), (3, [0]), (4, [0, 3])]
    assert study.ledger.record(4).config == {"number": 4}


def test_no_more_run_side_by_side_than_there_are_slots_now():
    slots = [2]
    study = Study(budget=9, slots=lambda: slots[0])
    assert [study.suggest() for _ in range(3)] == [0, 1, None]
    slots[0] = 3
    assert [study.suggest() for _ in range(2)] == [2, None]
    slots[0] = 1  # another study has come
    study.leaves(0, "ended")
    assert study.suggest() is None
    study.leaves(1, "ended")
    study.leaves(2, "ended")
    assert [study.suggest() for _ in range(2)] == [3, None]


@pytest.mark.parametrize(("hook", "following"), [("ended", 1), (None, 1), ("requeue", 0)])
def test_a_trial_that_leaves_its_slot_makes_place_for_the_next(hook, following):
    study = Study(budget=2, slots=lambda: 1)
    assert [study.suggest(), study.suggest()] == [0, None]
    study.leaves(0, hook)
    assert study.running == set()
    assert study.suggest() == following


def test_without_slots_only_tune_limits_how_many_run():
    study = Study(budget=50)
    assert [study.suggest() for _ in range(50)] == list(range(50))


def test_a_run_that_is_to_end_says_so_also_while_all_slots_are_taken():
    study = Study("running", budget=3, slots=lambda: 0)
    study.scheduler.next = [0]
    assert study.suggest() is None
    study.stopping.stop("enough", 0)
    assert study.suggest() == Searcher.FINISHED
    assert (study.searcher.to_resume, study.scheduler.next, study.proposer.asked) == ([0], [0], [])


def test_a_paused_trial_is_not_among_those_that_go_on_by_themselves():
    study = Study(budget=1)
    assert study.suggest() == 0
    study.leaves(0)
    assert (study.searcher.remaining, study.searcher.to_resume) == (0, [])
    assert study.suggest() == Searcher.FINISHED


@pytest.mark.parametrize("state", ["waiting to go on", "running"])
def test_a_trial_that_was_ended_is_not_suggested_again(state):
    study = Study("running", "running", budget=2)
    if state == "running":
        assert study.suggest() == 0
    study.leaves(0, "ended")
    assert study.searcher.to_resume == [1]
    assert study.running == set()
    assert study.suggest() == 1
    assert study.suggest() is None


def test_what_the_trial_is_told():
    """Each time that memory did not suffice doubles the micro-batches; other failures do not."""
    study = Study("running", "running", "running", budget=3)
    study.ledger.add_epoch(1, epoch_report(2))
    for number, kinds in {1: ("error", "node_lost"), 2: ("out_of_memory", "error", *["out_of_memory"] * 2)}.items():
        for kind in kinds:
            study.ledger.add_failure(number, Failure(kind=kind, epoch=1, message=""))
    assert [study.searcher.suggest("t") for _ in range(3)] == [
        {"number": 0, "config": {"number": 0}, "reported_epochs": 1, "micro_batches": 1},
        {"number": 1, "config": {"number": 1}, "reported_epochs": 2, "micro_batches": 1},
        {"number": 2, "config": {"number": 2}, "reported_epochs": 1, "micro_batches": 8},
    ]


def test_a_space_that_holds_nothing_new_lets_the_best_go_on_and_ends_the_search():
    study = Study("running", budget=9, waiting=[0], proposals=1)
    study.scheduler.at_last = [0]
    assert study.suggest() == 1
    assert not study.searcher.exhausted
    assert study.suggest() == 0
    assert (study.searcher.exhausted, study.searcher.budget, study.searcher.remaining) == (True, 2, 0)
    assert study.suggest() is None
    study.leaves(0, "ended")
    study.leaves(1, "ended")
    assert study.suggest() == Searcher.FINISHED
    assert len(study.proposer.asked) == 2  # not asked again


def test_a_trial_that_cannot_be_written_is_none_and_ends_the_run(monkeypatch):
    study = Study("complete", budget=3)

    def full(proposal):
        raise OSError("no space left")

    monkeypatch.setattr(study.ledger, "begin", full)
    assert study.suggest() == Searcher.FINISHED
    assert study.stopping.unwritable
    assert study.stopping.exit_code == 1
    assert "no space left" in study.stopping.reason
    assert (study.searcher.born, study.running, study.searcher.remaining) == (1, set(), 2)


def test_tune_maximises_the_score_and_keeps_nothing_of_the_searcher(tmp_path):
    searcher = Study(budget=1).searcher
    assert (searcher.metric, searcher.mode) == ("score", "max")
    searcher.save(str(tmp_path / "state"))
    searcher.on_trial_complete("t", result={"score": 0.5}, error=True)
    assert list(tmp_path.iterdir()) == []
