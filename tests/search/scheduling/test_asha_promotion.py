from __future__ import annotations

from types import SimpleNamespace

import pytest
from ray.tune.schedulers import TrialScheduler

from search.ledger.ledger import Ledger
from search.scheduling.asha_promotion import MAX_PAUSED_PER_RUNG, AshaPromotion
from tests.made.studies import begin, study_settings

GO, STOP = TrialScheduler.CONTINUE, TrialScheduler.STOP


class Study:
    """A scheduler with the ledger that it would be rebuilt from."""

    def __init__(self, ledger, space, make_report, **options):
        self.ledger, self.space, self.report = ledger, space, make_report
        self.settings = study_settings(scheduler="asha-promotion", **options.pop("settings", {}))
        self.scheduler = AshaPromotion(ledger, self.settings, **options)

    def begin(self):
        return begin(self.ledger, self.space).number

    def epoch(self, number, epoch, score, ended=None):
        self.ledger.add_epoch(number, self.report(epoch, score, ended=ended))
        trial = SimpleNamespace(trial_id=f"t{number}", config={"number": number})
        return self.scheduler.on_trial_result(None, trial, {"epoch": epoch, "score": score, "ended": ended})

    def rebuilt(self, path):
        return AshaPromotion(Ledger.open(path), self.settings)


@pytest.fixture
def study(ledger, space, make_report):
    def make(**options):
        return Study(ledger, space, make_report, **options)

    return make


def test_a_trial_pauses_until_it_is_among_the_best_third_of_its_rung(study):
    made = study()
    decisions = [made.epoch(made.begin(), 1, score) for score in (0.5, 0.7, 0.6)]
    assert decisions == [STOP] * 3
    assert made.scheduler.paused == {"t0", "t1", "t2"}
    assert made.scheduler.waiting == [0, 1, 2]
    assert made.scheduler.promotable
    assert made.scheduler.promote() == 1
    assert made.scheduler.waiting == [0, 2]
    assert made.scheduler.promote() is None  # one of three is on its way
    assert made.scheduler.promote(last=True) is None
    assert not made.scheduler.promotable
    assert made.epoch(1, 2, 0.8) == GO  # no rung
    assert made.epoch(1, 3, 0.8) == STOP


def test_when_no_new_trial_follows_the_best_of_a_rung_goes_on_however_few_they_are(study):
    made = study()
    for score in (0.5, 0.7):
        made.epoch(made.begin(), 1, score)
    assert made.scheduler.promote() is None
    assert made.scheduler.promotable
    assert made.scheduler.promote(last=True) == 1
    assert made.scheduler.promote(last=True) is None
    assert made.epoch(1, 3, 0.8) == STOP
    assert made.scheduler.promote(last=True) == 1


def test_one_that_is_among_the_best_at_once_is_not_paused(study):
    made = study()
    for score in (0.5, 0.6):
        made.epoch(made.begin(), 1, score)
    assert made.epoch(made.begin(), 1, 0.7) == GO
    assert made.scheduler.waiting == [0, 1]


def test_the_highest_rung_comes_first(study):
    made = study()
    for score in (0.9, 0.8, 0.7):
        made.epoch(made.begin(), 1, score)
    for number, score in ((0, 0.9), (1, 0.8), (2, 0.7)):
        made.epoch(number, 3, score)
    assert made.scheduler.promote() == 0
    assert made.scheduler.waiting == [0, 1, 1, 2, 2]  # a trial is in one rung only; here they were pushed on by hand


@pytest.mark.parametrize(("ended", "entered"), [("max_epochs", 1), ("early_stopping", 1), ("diverged", 0)])
def test_a_trial_that_ends_by_itself_is_let_to(ended, entered, study):
    made = study()
    score = float("nan") if ended == "diverged" else 0.5
    assert made.epoch(made.begin(), 3, score, ended) == GO
    assert len(made.scheduler.rungs[3]) == entered
    assert not made.scheduler.paused


def test_a_rung_keeps_the_best_that_wait(study):
    made = study(settings={"reduction_factor": 9})
    scores = [0.1 * number for number in range(MAX_PAUSED_PER_RUNG + 2)]
    for score in scores:
        made.epoch(made.begin(), 1, score)
    assert made.scheduler.pop_evicted() == [1, 0]
    assert made.scheduler.pop_evicted() == []
    assert made.scheduler.waiting == list(range(2, MAX_PAUSED_PER_RUNG + 2))


def test_rungs_and_those_that_wait_are_rebuilt_from_the_ledger(study, tmp_path):
    made = study()
    for score in (0.5, 0.7, 0.6, 0.2, 0.65):
        made.epoch(made.begin(), 1, score)
    assert made.scheduler.promote() == 1
    made.epoch(1, 2, 0.7)
    made.ledger.prune(3)
    rebuilt = made.rebuilt(tmp_path / "study")
    assert rebuilt.rungs.keys() == made.scheduler.rungs.keys()
    assert rebuilt.rungs == made.scheduler.rungs
    assert rebuilt.waiting == [0, 2, 4]


def test_the_judge_hears_of_every_epoch(study, tmp_path):
    made = study(settings={"rung_metric": "best"})
    number = made.begin()
    made.epoch(number, 1, 0.4)
    made.epoch(number, 2, 0.9)
    made.epoch(number, 3, 0.1)
    assert made.scheduler.rungs[3] == [(-0.9, number)]
    assert made.rebuilt(tmp_path / "study").rungs == made.scheduler.rungs


def test_an_audited_trial_is_not_paused(study, tmp_path):
    made = study(audit=1.0)
    for number, score in enumerate((0.5, 0.7, 0.6, 0.1)):
        assert made.epoch(made.begin(), 1, score) == GO
        if number in made.scheduler.audited:
            made.ledger.mark_audited(number, 1)
    assert made.scheduler.audited == {0: 1, 1: 1, 2: 1, 3: 1}
    assert made.epoch(3, 3, 0.9) == GO
    assert made.scheduler.rungs[3] == []
    rebuilt = made.rebuilt(tmp_path / "study")
    assert (rebuilt.audited, rebuilt.waiting, rebuilt.rungs) == (made.scheduler.audited, [], made.scheduler.rungs)
