"""Where Ray Tune keeps its own state, which it unpickles: never in the study's folder."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ray import tune

from search.ledger.ledger import Ledger
from search.tuning.meter import Meter
from search.tuning.run_end import Stopping
from search.tuning.search_plan import SearchPlan
from search.tuning.tuner import run_search
from tests.made.studies import study_settings
from tests.processes.loops import falling
from trainables.launching.launchers import InlineLauncher


@pytest.fixture
def run(tmp_path, settings, space, monkeypatch):
    """Runs a search whose Tuner does what is given with its folder, instead of a search."""

    def start(act):
        class Tuner:
            def __init__(self, trainable, *, tune_config, run_config):
                self.folder = Path(run_config.storage_path)

            def fit(self):
                act(self.folder)

        monkeypatch.setattr(tune, "Tuner", Tuner)
        plan = SearchPlan(
            folder=tmp_path / "study",
            settings=study_settings(),
            space=space,
            sampler="random",
            budget=2,
            launcher=InlineLauncher(),
            concurrent=1,
        )
        ledger, stopping = Ledger.create(plan.folder), Stopping()
        run_search(plan, ledger, falling, [], stopping, Meter({}))
        return stopping

    return start


def test_it_is_new_private_and_gone_afterwards(run, tmp_path):
    seen = []

    def act(folder):
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert list(folder.iterdir()) == []
        assert not folder.is_relative_to(tmp_path / "study")
        (folder / "tune").mkdir()
        (folder / "tune" / "experiment_state.json").touch()
        seen.append(folder)

    run(act)
    run(act)
    assert len(set(seen)) == 2
    assert not any(folder.exists() for folder in seen)


def test_it_is_gone_after_a_failure_too(run):
    seen = []

    def act(folder):
        seen.append(folder)
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError, match="boom"):
        run(act)
    assert not seen[0].exists()


def test_without_room_for_it_the_run_ends(run, monkeypatch):
    def nowhere(**_):
        raise FileNotFoundError("No usable temporary directory found")

    monkeypatch.setattr("tempfile.TemporaryDirectory", nowhere)
    stopping = run(lambda folder: None)
    assert stopping.exit_code == 1
    assert "No usable temporary directory found" in stopping.reason
