from __future__ import annotations

import pytest

from search.housekeeping import KEPT, Housekeeping
from tests.studies import begin
from trainables.trial import checkpoint_store


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
    keeper = Housekeeping(str(tmp_path / "checkpoints"), past=[])
    for score in (0.1, 0.5, None, 0.3, 0.4, 0.2):
        keeper.trial_ended(ended(score))
    assert KEPT == 3
    assert kept(tmp_path) == {"0001/best.pt", "0003/best.pt", "0004/best.pt"}


def test_trials_of_earlier_runs_count_and_running_ones_are_left_alone(ended, ledger, space, tmp_path):
    past = [ended(score) for score in (0.7, 0.8, 0.9)]
    running = begin(ledger, space)
    checkpoint_store(str(tmp_path / "checkpoints"), running.number).save("last", {})
    Housekeeping(str(tmp_path / "checkpoints"), past=[*past, running]).trial_ended(ended(0.75))
    names = kept(tmp_path)
    assert {"0001/best.pt", "0002/best.pt", "0004/best.pt", "0003/last.pt"} <= names
    assert "0000/best.pt" not in names
