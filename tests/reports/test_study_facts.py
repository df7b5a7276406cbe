from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from reports.study_facts import read_study
from search.ledger import Ledger


def test_what_is_known_of_a_study(facts):
    assert facts.states == {"complete": 2, "pruned": 1, "failed": 1, "running": 1}
    assert facts.best.score == max(record.score for record in facts.records if record.score is not None)
    assert facts.origin == "data set tiny, split 80/10/10 with seed 0"


def test_data_that_moved_is_found_by_name(study, tiny_file, tmp_path):
    moved = shutil.copy(tiny_file, tmp_path / "moved.npz")
    assert read_study(study, str(moved)).data.name == "moved"


def test_a_study_may_move_as_a_whole(study, tmp_path):
    moved = read_study(study.rename(tmp_path / "moved"), None)
    assert Path(moved.settings.checkpoint_root(moved.folder)) == tmp_path / "moved" / "checkpoints"


def test_other_data_is_refused(study, tmp_path):
    pairs = np.ones((20, 2, 16, 24), np.uint8)
    np.savez(tmp_path / "other.npz", training_set=pairs)
    with pytest.raises(ValueError, match=r"other\.npz: is not the data of this study .* with --data"):
        read_study(study, str(tmp_path / "other.npz"))


def test_nothing_to_report_is_said(tmp_path):
    with pytest.raises(ValueError, match="no study there"):
        read_study(tmp_path, None)
    Ledger.create(tmp_path / "empty")
    with pytest.raises(ValueError, match="no trial of this study has a score yet"):
        read_study(tmp_path / "empty", None)
