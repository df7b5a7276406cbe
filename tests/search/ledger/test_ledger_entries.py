"""What each method of the ledger writes, and in which order."""

from __future__ import annotations

import dataclasses
import json

import optuna
import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState

from search.ledger.ledger import Ledger
from search.ledger.records import Failure, Proposal, Segment
from search.storage.location import FILE
from search.study.gpu_share import Placement
from tests.made.studies import epoch_report

PROPOSAL = Proposal(
    params={"model.depth": 3},
    distributions={"model.depth": IntDistribution(2, 5)},
    config={"model.depth": 3, "training.seed": 1},
)
FAILURE = Failure(kind="error", epoch=1, message="boom")
SEGMENT = Segment(start_seconds=1.0, wait_seconds=0.5, cpus=2.0, gpus=0.25)
SEGMENT_ENTRY = {
    "start_seconds": 1.0,
    "wait_seconds": 0.5,
    "cpus": 2.0,
    "gpus": 0.25,
    "queue_seconds": 0.0,
    "last_epoch": 0,
}


@pytest.fixture
def ledger():
    return Ledger.in_memory()


@pytest.fixture
def written(ledger, monkeypatch):
    """What is written from now on: the storage's method and what it was given behind the trial."""
    calls = []

    def spy(name):
        real = getattr(ledger.storage, name)

        def method(*arguments):
            calls.append((name, *arguments[1:]))
            return real(*arguments)

        monkeypatch.setattr(ledger.storage, name, method)

    for name in (
        "set_trial_intermediate_value",
        "set_trial_user_attr",
        "set_trial_state_values",
        "set_study_user_attr",
    ):
        spy(name)
    return calls


def running(ledger, *reports):
    number = ledger.begin(PROPOSAL).number
    for report in reports:
        ledger.add_epoch(number, report)
    return number


def test_a_trial_begins_with_all_that_was_proposed(ledger):
    record = ledger.begin(PROPOSAL)
    assert (record.number, record.state, record.params, record.config) == (
        0,
        "running",
        PROPOSAL.params,
        PROPOSAL.config,
    )
    assert record.reports == record.failures == record.segments == ()
    assert ledger.begin(PROPOSAL).number == 1
    (frozen, _) = ledger.frozen_trials()
    assert frozen.distributions == PROPOSAL.distributions
    assert frozen.state == TrialState.RUNNING
    assert ledger.frozen_trials()[0] is frozen  # no copy: thousands are read for each proposal


def test_a_trial_begins_with_one_entry(tmp_path):
    ledger = Ledger.create(tmp_path / "study")
    before = (tmp_path / "study" / FILE).read_bytes().count(b"\n")
    ledger.begin(PROPOSAL)
    assert (tmp_path / "study" / FILE).read_bytes().count(b"\n") == before + 1


def test_the_value_of_an_epoch_is_written_before_its_report(ledger, written):
    number = running(ledger)
    report = epoch_report(12, 0.3)
    ledger.add_epoch(number, report)
    assert written == [
        ("set_trial_intermediate_value", 12, 0.3),
        ("set_trial_user_attr", "epoch 0012", json.dumps(report.to_dict())),
    ]


@pytest.mark.parametrize(
    "report",
    [epoch_report(1, None), epoch_report(1, 0.4, ended="diverged"), epoch_report(1, float("nan"), ended="diverged")],
    ids=["unscored", "diverged", "diverged to nan"],
)
def test_an_epoch_without_a_score_that_counts_is_a_report_alone(report, ledger, written):
    number = running(ledger, report)
    assert written == [("set_trial_user_attr", "epoch 0001", json.dumps(report.to_dict()))]
    assert ledger.frozen_trials()[number].intermediate_values == {}


def test_a_score_of_zero_is_a_score(ledger):
    number = running(ledger, epoch_report(1, 0.0))
    assert ledger.frozen_trials()[number].intermediate_values == {1: 0.0}
    assert ledger.complete(number).score == 0.0
    assert ledger.frozen_trials()[number].value == 0.0


def test_failures_and_segments_are_counted_from_one_each_for_itself(ledger, written):
    number = running(ledger)
    assert ledger.add_failure(number, FAILURE).failures == (FAILURE,)
    ledger.add_segment(number, SEGMENT)
    later = Failure(kind="node_lost", epoch=2, message="gone")
    assert ledger.add_failure(number, later).failures == (FAILURE, later)
    ledger.add_segment(number, SEGMENT)
    assert [(key, json.loads(text)) for _, key, text in written] == [
        ("failure 0001", {"kind": "error", "epoch": 1, "message": "boom"}),
        ("segment 0001", SEGMENT_ENTRY),
        ("failure 0002", {"kind": "node_lost", "epoch": 2, "message": "gone"}),
        ("segment 0002", SEGMENT_ENTRY),
    ]
    ended = dataclasses.replace(SEGMENT, last_epoch=0)
    assert ledger.record(number).segments == (ended, ended)
    assert ledger.record(number).state == "running"


def test_what_was_decided_of_an_epoch_is_in_its_entry(ledger, written):
    first, other = running(ledger), running(ledger)
    reports = [epoch_report(1, None), epoch_report(2, None), epoch_report(3, None)]
    ledger.decide(first, 1, "continue")
    ledger.decide(first, 2, "pause", (4, 3))
    ledger.decide(other, 1, "audit")
    for report in reports:
        ledger.add_epoch(first, report)
    ledger.add_epoch(other, reports[0])
    assert [json.loads(text) for _, _, text in written] == [
        reports[0].to_dict() | {"decision": "continue"},
        reports[1].to_dict() | {"decision": "pause", "ends": [4, 3]},
        reports[2].to_dict(),
        reports[0].to_dict() | {"decision": "audit"},
    ]
    record = ledger.record(first)
    assert (record.decision, record.ends, record.audited) == (None, (4, 3), None)
    assert record.reports == tuple(reports)
    assert (ledger.record(other).decision, ledger.record(other).audited) == ("audit", 1)


def test_promotions_are_in_the_next_entry_of_an_epoch_or_a_trial(ledger, written):
    number = running(ledger)
    ledger.promote(5, 1)
    ledger.promote(3, 9)
    ledger.add_failure(number, FAILURE)
    ledger.add_epoch(number, epoch_report(1, None))
    ledger.add_epoch(number, epoch_report(2, None))
    ledger.promote(5, 3)
    assert ledger.begin(PROPOSAL).promoted == ((5, 3),)
    assert ledger.begin(PROPOSAL).promoted == ()
    assert [json.loads(text).get("promoted") for _, _, text in written] == [None, [[5, 1], [3, 9]], None]
    assert ledger.record(number).promoted == ((5, 1), (3, 9))


def test_a_failure_says_whether_it_was_the_last(ledger, written):
    number = running(ledger)
    ledger.add_failure(number, FAILURE)
    assert not ledger.record(number).broke_for_good
    ledger.add_failure(number, dataclasses.replace(FAILURE, final=True))
    assert ledger.record(number).broke_for_good
    assert [json.loads(text).get("final") for _, _, text in written] == [None, True]
    assert not ledger.record(running(ledger)).broke_for_good


def test_an_audited_trial_keeps_the_epoch_it_was_to_stop_after(ledger):
    number, other = running(ledger), running(ledger)
    ledger.mark_audited(number, 6)
    assert ledger.record(number).audited == 6
    assert ledger.record(other).audited is None


def test_a_complete_trial_has_its_best_value_and_a_pruned_one_its_last(ledger, written):
    reports = [epoch_report(1, 0.2), epoch_report(2, 0.7), epoch_report(3, 0.4)]
    complete, pruned = running(ledger, *reports), running(ledger, *reports)
    written.clear()
    assert ledger.complete(complete).state == "complete"
    assert ledger.prune(pruned).state == "pruned"
    assert written == [
        ("set_trial_state_values", TrialState.COMPLETE, [0.7]),
        ("set_trial_state_values", TrialState.PRUNED, [0.4]),
    ]
    assert ledger.record(pruned).score == 0.7


def test_a_trial_without_a_score_ends_without_a_value(ledger, written):
    """A pair of networks is not scored while its background network is trained alone."""
    complete, pruned = running(ledger, epoch_report(1, None)), running(ledger)
    written.clear()
    ledger.complete(complete)
    ledger.prune(pruned)
    assert written == [
        ("set_trial_state_values", TrialState.COMPLETE, None),
        ("set_trial_state_values", TrialState.PRUNED, None),
    ]


def test_a_failed_trial_is_told_why_before_it_has_failed(ledger, written):
    number = running(ledger, epoch_report(1, 0.9))
    written.clear()
    record = ledger.fail(number, "RuntimeError: boom")
    assert (record.state, record.error, record.score) == ("failed", "RuntimeError: boom", 0.9)
    assert written == [
        ("set_trial_user_attr", "error", "RuntimeError: boom"),
        ("set_trial_state_values", TrialState.FAIL),
    ]
    assert ledger.frozen_trials()[number].values is None


@pytest.mark.parametrize("ended", ["max_epochs", "early_stopping"])
def test_a_trial_that_ends_by_itself_is_complete(ended, ledger):
    number = running(ledger, epoch_report(1, 0.5), epoch_report(2, 0.3, ended=ended))
    record = ledger.finish(number)
    assert (record.state, record.error) == ("complete", None)
    assert ledger.frozen_trials()[number].value == 0.5


def test_a_trial_that_diverged_has_failed_at_its_last_epoch(ledger):
    number = running(ledger, epoch_report(1, 0.5), epoch_report(2, 0.6), epoch_report(3, 0.7, ended="diverged"))
    record = ledger.finish(number)
    assert record.state == "failed"
    assert record.error == "diverged: a loss, score or gradient of epoch 3 is not finite"
    assert record.score == 0.6


def test_a_trial_that_has_not_reported_its_end_cannot_finish(ledger):
    with pytest.raises(AssertionError):
        ledger.finish(running(ledger, epoch_report(1, 0.5, ended=None)))


@pytest.mark.parametrize(
    ("trials", "first", "expected"),
    [
        (0, [], [0, 1]),
        (3, [], [3, 4]),  # behind the trials that there are
        (0, ["a", "b", "c"], [3, 4]),  # behind the points that wait
        (4, ["a", "b"], [4, 5]),  # points 0 and 1 are trials by now
        (1, ["a", "b", "c"], [3, 4]),
    ],
)
def test_points_are_for_the_next_trials_that_have_none(trials, first, expected, ledger):
    ledger.enqueue({"loss.name": name} for name in first)
    for _ in range(trials):
        ledger.begin(PROPOSAL)
    before = ledger.first
    points = [{"model.depth": 2}, {"model.depth": 3}]
    ledger.enqueue(points)
    assert ledger.first == before | dict(zip(expected, points, strict=True))


def test_known_points_are_neither_moved_nor_written_again(ledger, written):
    points = [{"model.depth": 2}, {"model.depth": 3}]
    ledger.enqueue(points)
    written.clear()
    ledger.enqueue(reversed(points))
    ledger.enqueue([])
    assert written == []
    assert ledger.first == {0: {"model.depth": 2}, 1: {"model.depth": 3}}


def test_settings_and_placement_come_back_as_they_were_set(ledger):
    assert (ledger.settings, ledger.placement, ledger.first) == ({}, None, {})
    placement = Placement(trials_per_gpu=3, device="T4", reason="no more fit")
    ledger.settings = {"seed": 3, "rung_metric": "last"}
    ledger.placement = placement
    assert ledger.settings == {"seed": 3, "rung_metric": "last"}
    assert ledger.placement == placement
    assert ledger.study.user_attrs["placement"] == {
        "trials_per_gpu": 3,
        "device": "T4",
        "reason": "no more fit",
        "too_large": None,
    }


@pytest.mark.parametrize("place", ["memory", "journal"])
def test_a_higher_score_is_better(place, tmp_path):
    ledger = Ledger.in_memory() if place == "memory" else Ledger.create(tmp_path / "study")
    for score in (0.3, 0.6, 0.5):
        ledger.complete(running(ledger, epoch_report(1, score)))
    assert ledger.study.best_value == 0.6
    assert ledger.study.direction == optuna.study.StudyDirection.MAXIMIZE
    assert [record.number for record in ledger.records()] == [0, 1, 2]


def test_settings_stay_as_they_are_but_for_the_place_of_the_data(ledger):
    ledger.settings = {"seed": 3, "data": "here"}
    ledger.settings = {"seed": 3, "data": "here"}
    ledger.settings = {"seed": 3, "data": "there"}
    with pytest.raises(ValueError, match=r" exists with other settings: seed, rung_metric$"):
        ledger.settings = {"seed": 4, "data": "there", "rung_metric": "last"}
    assert ledger.settings == {"seed": 3, "data": "there"}
