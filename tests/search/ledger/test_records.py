from __future__ import annotations

import dataclasses
import json
from datetime import datetime, timedelta

import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState, create_trial

from search.ledger.ledger import Ledger
from search.ledger.records import STATES, Failure, Proposal, Segment, TrialRecord, _read
from tests.made.records import check_fixed, trial_record
from tests.made.studies import begin, epoch_report
from trainables.messages import EpochReport

START = datetime(2024, 5, 1, 12, 0)
FAILURE = Failure(kind="error", epoch=2, message="boom")
SEGMENT = Segment(start_seconds=1.5, wait_seconds=0.25, cpus=2.0, gpus=0.5)


def frozen(attributes=None, state=TrialState.RUNNING, number=7):
    trial = create_trial(
        state=state,
        value=0.5 if state == TrialState.COMPLETE else None,
        params={"model.depth": 3},
        distributions={"model.depth": IntDistribution(2, 5)},
        user_attrs={"config": {"model.depth": 3, "training.seed": 1}} | (attributes or {}),
    )
    trial.number = number
    trial.datetime_start = START
    trial.datetime_complete = None if state == TrialState.RUNNING else START + timedelta(hours=1)
    return trial


def entries(kind, *values):
    return {f"{kind} {count:04d}": json.dumps(dataclasses.asdict(value)) for count, value in enumerate(values, start=1)}


def test_a_trial_that_has_just_begun():
    assert TrialRecord.of(frozen()) == TrialRecord(
        number=7,
        state="running",
        params={"model.depth": 3},
        config={"model.depth": 3, "training.seed": 1},
        reports=(),
        failures=(),
        segments=(),
        audited=None,
        error=None,
        started=START,
        ended=None,
    )


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (TrialState.RUNNING, "running"),
        (TrialState.COMPLETE, "complete"),
        (TrialState.PRUNED, "pruned"),
        (TrialState.FAIL, "failed"),
    ],
)
def test_a_state_has_one_word_and_all_but_running_ones_have_ended(state, expected):
    record = TrialRecord.of(frozen(state=state))
    assert record.state == expected
    assert record.has_ended == (expected != "running")
    assert record.ended == (None if expected == "running" else datetime(2024, 5, 1, 13, 0))
    assert len(STATES) == 4


def test_what_the_ledger_noted_is_read_kind_by_kind():
    reports = [epoch_report(1, 0.3), epoch_report(2, 0.6)]
    later = dataclasses.replace(SEGMENT, start_seconds=9.0)
    notes = entries("epoch", *reports) | entries("failure", FAILURE) | entries("segment", SEGMENT, later)
    record = TrialRecord.of(frozen(notes | {"audited": 4, "error": "broke"}))
    assert record.reports == tuple(reports)
    assert record.failures == (FAILURE,)
    assert record.segments == (SEGMENT, later)
    assert record.audited == 4
    assert record.error == "broke"


def test_the_last_decision_and_all_others_that_it_names_are_read():
    decided = [
        {"decision": "audit", "promoted": [[8, 1]]},
        {"decision": "pause", "ends": [3, 4]},
        {"decision": "audit"},
        {"decision": "continue", "ends": [5], "promoted": [[6, 3], [2, 1]]},
    ]
    notes = {
        f"epoch {epoch:04d}": json.dumps(epoch_report(epoch, 0.5).to_dict() | entry)
        for epoch, entry in enumerate(decided, start=1)
    }
    record = TrialRecord.of(frozen(notes | {"promoted": [[9, 9]], "audited": 7}))
    assert (record.decision, record.ends, record.audited) == ("continue", (3, 4, 5), 1)
    assert record.promoted == ((9, 9), (8, 1), (6, 3), (2, 1))
    assert [report.epoch for report in record.reports] == [1, 2, 3, 4]


def test_a_ledger_of_an_earlier_version_says_of_no_decision():
    record = TrialRecord.of(frozen(entries("epoch", epoch_report(1, 0.3)) | {"audited": 7}))
    assert (record.decision, record.ends, record.promoted, record.audited) == (None, (), (), 7)
    failure = {"failure 0001": json.dumps({"kind": "error", "epoch": 2, "message": "boom"})}
    assert TrialRecord.of(frozen(failure)).broke_for_good is False


def test_entries_are_in_the_order_of_their_numbers_however_they_come():
    reports = [epoch_report(epoch, 0.1) for epoch in range(1, 13)]
    backwards = dict(reversed(entries("epoch", *reports).items()))
    record = TrialRecord.of(frozen(backwards))
    assert [report.epoch for report in record.reports] == list(range(1, 13))


def test_an_attribute_that_only_begins_like_an_entry_is_none():
    """Other tools may note what they like: "epochs", "failures seen"."""
    assert TrialRecord.of(frozen({"epochs": 3, "failures seen": "x", "segmentation": 1})).reports == ()


@pytest.mark.parametrize(
    ("scores", "epoch", "score"),
    [
        ([0.2, 0.6, 0.4], 2, 0.6),
        ([0.6, 0.2, 0.4], 1, 0.6),
        ([0.2, 0.4, 0.6], 3, 0.6),
        ([0.2, 0.6, 0.6, 0.1], 2, 0.6),  # of equal epochs the first: that is the one whose weights were kept
        ([None, None, 0.1, None], 3, 0.1),  # a background network trains before anything is scored
        ([0.0, 0.0], 1, 0.0),
    ],
)
def test_the_best_epoch_is_the_first_of_the_highest_score(scores, epoch, score):
    record = trial_record(scores=scores)
    assert record.best is record.reports[epoch - 1]
    assert record.score == score


def test_a_diverged_epoch_is_not_the_best_whatever_its_score():
    record = trial_record(reports=(epoch_report(1, 0.2), epoch_report(2, 0.9, ended="diverged")))
    assert record.best is record.reports[0]
    assert record.score == 0.2
    assert record.reported_epochs == 2


@pytest.mark.parametrize("reports", [(), (epoch_report(1, None),), (epoch_report(1, 0.9, ended="diverged"),)])
def test_a_trial_without_a_scored_epoch_has_no_score(reports):
    record = trial_record(reports=reports)
    assert record.best is None
    assert record.score is None


def test_the_told_epochs_are_the_number_of_the_last_one():
    assert trial_record(scores=[0.5, 0.4, 0.3]).reported_epochs == 3
    assert trial_record(reports=(epoch_report(4), epoch_report(6))).reported_epochs == 6
    assert trial_record().reported_epochs == 0


@pytest.mark.parametrize(
    "thing",
    [Proposal(params={}, distributions={}, config={}), FAILURE, SEGMENT, trial_record()],
    ids=lambda value: type(value).__name__,
)
def test_what_the_ledger_gives_is_fixed(thing):
    check_fixed(thing)


@pytest.mark.parametrize("value", [{}, [3], None])
def test_a_configuration_has_single_values_only(value):
    with pytest.raises(ValueError, match=r"trial 7.*: config is \{"):
        TrialRecord.of(frozen({"config": {"model.depth": value}}))


def test_only_an_epoch_that_diverged_may_have_a_score_that_is_no_number():
    endless = dataclasses.replace(epoch_report(1), score=float("nan"))
    with pytest.raises(ValueError, match=r"^trial 7: a score is not a finite number, but the trial did not diverge$"):
        TrialRecord.of(frozen(entries("epoch", endless)))
    diverged = dataclasses.replace(endless, train_loss=float("nan"), ended="diverged")
    assert TrialRecord.of(frozen(entries("epoch", diverged))).score is None


@pytest.mark.parametrize("value", [float("inf"), float("nan"), -(2.0**63)])
def test_times_that_cannot_be_added_up_are_refused(value):
    endless = dataclasses.replace(epoch_report(1, 0.5), val_seconds=value)
    with pytest.raises(ValueError, match=r"trial 7: val_seconds is .*, must be a number below"):
        TrialRecord.of(frozen(entries("epoch", endless)))
    with pytest.raises(ValueError, match=r"trial 7: gpus is .*, must be a number below"):
        TrialRecord.of(frozen(entries("segment", SEGMENT, dataclasses.replace(SEGMENT, gpus=value))))


@pytest.mark.parametrize(
    ("decision", "end", "shown"),
    [
        ("pause", None, "paused"),
        ("pause", "prune", "pruned"),
        ("continue", None, "running"),
        ("audit", None, "running"),
    ],
)
def test_a_paused_trial_is_shown_as_such(decision, end, shown, ledger, space, make_report):
    number = begin(ledger, space).number
    assert ledger.record(number).shown_state == "running"
    ledger.decide(number, 1, decision)
    ledger.add_epoch(number, make_report(1, 0.5))
    if end is not None:
        ledger.prune(number)
    assert ledger.record(number).shown_state == shown


@pytest.mark.parametrize(
    ("decision", "end", "shown"),
    [("continue", None, "interrupted"), ("pause", None, "paused"), ("continue", "complete", "complete")],
)
def test_a_trial_that_no_driver_trains_is_interrupted(decision, end, shown, ledger, space, make_report, tmp_path, hold):
    """Whoever opens the ledger to read it sees whether a driver holds the study."""
    number = begin(ledger, space).number
    ledger.decide(number, 1, decision)
    ledger.add_epoch(number, make_report(1, 0.5))
    if end is not None:
        ledger.complete(number)
    folder = tmp_path / "study"
    [record] = Ledger.open(folder).records()
    assert record.shown_state == Ledger.open(folder).record(number).shown_state == shown
    assert record == ledger.record(number)
    hold(folder)
    [record] = Ledger.open(folder).records()
    assert record.shown_state == ledger.record(number).shown_state == shown.replace("interrupted", "running")


def test_an_epoch_of_an_earlier_version_has_the_mean_iou_as_its_score():
    """Entries had no score, and named the best one by the mean IoU."""
    values = epoch_report(3, 0.5, best_epoch=2).to_dict()
    del values["score"], values["best_score"]
    values["best_mean_iou"] = 0.625
    [report] = _read(json.dumps(values), "trial 0, epoch 0003", EpochReport)
    assert report == EpochReport.from_dict(values)
    assert (report.score, report.mean_iou, report.best_score) == (0.5, 0.5, 0.625)
