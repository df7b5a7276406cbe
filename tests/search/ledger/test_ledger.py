from __future__ import annotations

from pathlib import Path

import optuna
import pytest

from search.ledger.ledger import FILE, Ledger
from search.ledger.records import Failure
from search.study.gpu_share import Placement
from tests.made.studies import begin


@pytest.fixture(params=["journal", "postgres"])
def reopen(request, tmp_path):
    """Opens the study's ledger as its next driver does."""
    url = None if request.param == "journal" else request.getfixturevalue("study_database")
    drivers = []

    def reopen():
        for earlier in drivers:
            earlier.close()
        drivers.append(Ledger.create(tmp_path / "study", url))
        return drivers[-1]

    yield reopen
    drivers[-1].close()


@pytest.fixture
def ledger(reopen):
    return reopen()


def test_a_trial_comes_back_from_disk_as_it_was_told(ledger, space, make_report, tmp_path):
    born = begin(ledger, space, max_epochs=9)
    reports = [make_report(1, 0.3), make_report(2, 0.6), make_report(3, 0.5, ended="max_epochs")]
    for report in reports:
        ledger.add_epoch(born.number, report)
    ledger.complete(born.number)

    record = Ledger.open(tmp_path / "study").record(born.number)
    assert record.state == "complete"
    assert record.reports == tuple(reports)
    assert record.config == born.config
    assert record.config["training.max_epochs"] == 9
    assert record.score == 0.6
    assert record.best is not None
    assert record.best.epoch == 2
    assert ledger.study.best_value == 0.6


def test_a_pruned_trial_is_explained_by_its_values(ledger, space, make_report):
    number = begin(ledger, space).number
    ledger.add_epoch(number, make_report(1, 0.2))
    ledger.add_epoch(number, make_report(2, 0.25))
    assert ledger.prune(number).state == "pruned"
    frozen = ledger.study.trials[number]
    assert frozen.state == optuna.trial.TrialState.PRUNED
    assert frozen.intermediate_values == {1: 0.2, 2: 0.25}


def test_a_diverged_epoch_is_kept_but_gives_the_sampler_no_value(ledger, space, make_report):
    number = begin(ledger, space).number
    ledger.add_epoch(number, make_report(1, 0.2))
    ledger.add_epoch(number, make_report(2, float("nan"), ended="diverged", train_loss=float("nan")))
    record = ledger.fail(number, "diverged")
    assert record.state == "failed"
    assert record.error == "diverged"
    assert len(record.reports) == 2
    assert record.score == 0.2
    assert ledger.study.trials[number].intermediate_values == {1: 0.2}


def test_an_orphan_goes_on_under_its_own_number_and_configuration(ledger, space, make_report, reopen):
    born = begin(ledger, space)
    ledger.add_epoch(born.number, make_report(1))

    later = reopen()
    assert later.record(born.number).config == born.config
    later.add_epoch(born.number, make_report(2, ended="max_epochs"))
    assert later.complete(born.number).state == "complete"
    assert len(later.records()) == 1


def test_what_a_scheduler_decided_comes_back(ledger, space, make_report, reopen):
    first, second = begin(ledger, space).number, begin(ledger, space).number
    ledger.decide(first, 1, "pause", (second,))
    ledger.add_epoch(first, make_report(1))
    ledger.decide(second, 1, "audit")
    ledger.promote(first, 1)
    ledger.add_epoch(second, make_report(1))
    ledger.add_failure(second, Failure(kind="error", epoch=1, message="a bug", final=True))

    later = reopen()
    records = later.records()
    assert [(record.decision, record.ends, record.promoted, record.audited) for record in records] == [
        ("pause", (second,), (), None),
        ("audit", (), ((first, 1),), 1),
    ]
    assert [record.broke_for_good for record in records] == [False, True]
    later.promote(second, 1)
    assert begin(later, space).promoted == ((second, 1),)


def test_failures_are_kept_in_order(ledger, space, make_report, tmp_path):
    number = begin(ledger, space).number
    failures = [Failure(kind="process_lost", epoch=0, message="killed")]
    failures += [Failure(kind="out_of_memory", epoch=index, message="too\nbig") for index in range(11)]
    for failure in failures:
        ledger.add_failure(number, failure)
    assert Ledger.open(tmp_path / "study").record(number).failures == tuple(failures)
    assert ledger.record(number).state == "running"


def test_first_points_survive_and_are_not_repeated(ledger, space, reopen):
    begin(ledger, space)
    ledger.enqueue([{"model.depth": 2}, {"model.depth": 3}])
    later = reopen()
    later.enqueue([{"model.depth": 2}, {"model.depth": 3}, {"model.depth": 4}])
    assert later.first == {1: {"model.depth": 2}, 2: {"model.depth": 3}, 3: {"model.depth": 4}}


@pytest.mark.parametrize(("ended", "state"), [("max_epochs", "complete"), ("diverged", "failed")])
def test_an_end_that_was_reported_but_never_told_is_told_by_the_next_driver(
    ended, state, ledger, space, make_report, reopen
):
    number = begin(ledger, space).number
    to_resume = begin(ledger, space).number
    for trial in (number, to_resume):
        ledger.add_epoch(trial, make_report(1, 0.4))
    ledger.add_epoch(number, make_report(2, 0.3, ended=ended))
    records = reopen().records()
    assert records[number].state == state
    assert records[number].score == 0.4
    assert records[to_resume].state == "running"


def test_a_folder_without_a_study_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no study there"):
        Ledger.open(tmp_path)
    (tmp_path / FILE).touch()
    with pytest.raises(ValueError, match="holds no study"):
        Ledger.open(tmp_path)


def test_an_unwritable_folder_is_refused():
    with pytest.raises(ValueError, match="cannot write"):
        Ledger.create(Path("/proc/study"))


def test_how_trials_share_a_gpu_is_kept(ledger, tmp_path):
    assert ledger.placement is None
    placement = Placement(trials_per_gpu=6, device="NVIDIA T4", reason="no more fit", too_large=7 * 2**30)
    ledger.placement = placement
    assert Ledger.open(tmp_path / "study").placement == placement
