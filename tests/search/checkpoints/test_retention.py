from __future__ import annotations

import pytest

from search.checkpoints.retention import KEPT, CheckpointRetention
from tests.made.records import trial_record
from tests.made.studies import begin
from trainables.training.checkpoint_store import CheckpointStore, checkpoint_store


@pytest.fixture
def ended(ledger, space, make_report, tmp_path):
    """An ended trial with both of its checkpoints."""

    def make(score):
        number = begin(ledger, space).number
        store = checkpoint_store(str(tmp_path / "checkpoints"), number)
        for name in ("last", "best"):
            store.save(name, {"trial": number})
        if score is None:
            return ledger.fail(number, "boom")
        ledger.add_epoch(number, make_report(1, score))
        return ledger.complete(number)

    return make


def kept(tmp_path):
    return {path.relative_to(tmp_path / "checkpoints").as_posix() for path in tmp_path.glob("checkpoints/*/*.pt")}


def test_only_the_weights_of_the_best_stay(ended, tmp_path):
    keeper = CheckpointRetention(str(tmp_path / "checkpoints"), past=[])
    for score in (0.1, 0.5, None, 0.3, 0.4, 0.2):
        keeper.trial_ended(ended(score))
    assert KEPT == 3
    assert kept(tmp_path) == {"0001/best.pt", "0003/best.pt", "0004/best.pt"}


def test_trials_of_earlier_runs_count_and_running_ones_are_left_alone(ended, ledger, space, tmp_path):
    past = [ended(score) for score in (0.7, 0.8, 0.9)]
    running = begin(ledger, space)
    checkpoint_store(str(tmp_path / "checkpoints"), running.number).save("last", {})
    CheckpointRetention(str(tmp_path / "checkpoints"), past=[*past, running]).trial_ended(ended(0.75))
    names = kept(tmp_path)
    assert {"0001/best.pt", "0002/best.pt", "0004/best.pt", "0003/last.pt"} <= names
    assert "0000/best.pt" not in names


def record(number, score, state="complete"):
    return trial_record(number, [score], state=state)


@pytest.fixture
def stored(tmp_path):
    """Makes trials' folders with both of their checkpoints; returns the place."""

    def make(*numbers):
        for number in numbers:
            for name in ("last", "best"):
                checkpoint_store(str(tmp_path / "checkpoints"), number).save(name, {})
        return str(tmp_path / "checkpoints")

    return make


def test_what_a_killed_driver_left_is_deleted_at_once(stored, tmp_path):
    """Also of a trial that no ledger knows; a running one keeps both to resume from, and a tie goes to the earlier."""
    past = [
        record(0, 0.5),
        record(1, 0.9),
        record(2, 0.9, "running"),  # better than all, but none of the ended
        record(3, 0.5),
        record(4, 0.6, "pruned"),
        record(5, None, "failed"),
    ]
    CheckpointRetention(stored(*range(7)), past)
    assert kept(tmp_path) == {"0001/best.pt", "0004/best.pt", "0000/best.pt", "0002/best.pt", "0002/last.pt"}


@pytest.mark.parametrize(
    ("kept_trials", "names"), [(1, {"0001"}), (2, {"0001", "0002"}), (None, {"0000", "0001", "0002"})]
)
def test_as_many_of_the_best_keep_their_weights_as_are_asked_for(kept_trials, names, stored, tmp_path):
    keeper = CheckpointRetention(stored(0), past=[record(0, 0.3)], kept=kept_trials)
    stored(1, 2)
    keeper.trial_ended(record(1, 0.5))
    keeper.trial_ended(record(2, 0.4))
    assert kept(tmp_path) == {f"{name}/best.pt" for name in names}


def test_a_trial_that_ends_among_the_best_loses_its_resume_state_only(stored, tmp_path):
    keeper = CheckpointRetention(stored(), past=[])
    stored(0, 1)
    keeper.trial_ended(record(0, 0.3))
    assert kept(tmp_path) == {"0000/best.pt", "0001/best.pt", "0001/last.pt"}  # the other one runs


def test_a_trial_that_is_told_twice_takes_one_place(stored, tmp_path):
    keeper = CheckpointRetention(stored(), past=[], kept=2)
    stored(0, 1)
    for ended in (record(0, 0.3), record(1, 0.4), record(1, 0.5), record(1, 0.5)):
        keeper.trial_ended(ended)
    assert kept(tmp_path) == {"0000/best.pt", "0001/best.pt"}


def test_a_trial_without_a_score_keeps_nothing_even_where_there_is_room(stored, tmp_path):
    keeper = CheckpointRetention(stored(), past=[])
    stored(0)
    keeper.trial_ended(record(0, None, "failed"))
    assert kept(tmp_path) == set()


def test_storage_that_does_not_answer_stops_no_search(stored, monkeypatch):
    def gone(*_):
        raise OSError("gone")

    place = stored(0, 1)
    monkeypatch.setattr(CheckpointStore, "keep", gone)
    keeper = CheckpointRetention(place, past=[record(0, 0.5)])
    keeper.trial_ended(record(1, 0.4))
    monkeypatch.undo()
    keeper.trial_ended(record(2, 0.3))
    monkeypatch.setattr(CheckpointStore, "folders", gone)
    CheckpointRetention(place, past=[])


def test_the_best_of_those_that_the_search_began_with_stays_as_well(stored, tmp_path):
    keeper = CheckpointRetention(stored(0), past=[record(0, 0.3)], kept=1, begun_with={0, 1, 2})
    for number, score, left in ((1, 0.2, "0"), (3, 0.8, "03"), (2, 0.4, "23"), (4, 0.9, "24")):
        stored(number)
        keeper.trial_ended(record(number, score))
        assert kept(tmp_path) == {f"000{digit}/best.pt" for digit in left}
    stored(0, 1, 3)
    past = [record(0, 0.3), record(1, 0.2), record(2, 0.4), record(3, 0.8), record(4, 0.9)]
    CheckpointRetention(stored(), past, kept=1, begun_with={0, 1, 2})
    assert kept(tmp_path) == {"0002/best.pt", "0004/best.pt"}
