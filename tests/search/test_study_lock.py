from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from search.study_lock import OWNER, study_lock


@pytest.fixture
def holder(hold, tmp_path):
    return hold(tmp_path / "study")


def test_a_second_driver_is_refused_and_told_of_the_first(holder, tmp_path):
    expected = rf"study 'study' is run by .* on .* \(process {holder.pid}\) since 20.*: wait, or give another --name"
    with pytest.raises(ValueError, match=expected), study_lock(tmp_path / "study"):
        pass
    (tmp_path / "study" / OWNER).write_text("")
    with pytest.raises(ValueError, match="is run by another driver"), study_lock(tmp_path / "study"):
        pass


def test_the_lock_of_a_killed_driver_is_free(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "study" / OWNER).exists()
    with study_lock(tmp_path / "study"):
        assert str(os.getpid()) in (tmp_path / "study" / OWNER).read_text()
    assert not (tmp_path / "study" / OWNER).exists()


def test_an_unwritable_folder_is_refused():
    with pytest.raises(ValueError, match="cannot write"), study_lock(Path("/proc/study")):
        pass
