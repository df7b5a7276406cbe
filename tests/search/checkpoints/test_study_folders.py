"""Studies as folders: renamed, deleted, and nothing beside them."""

from __future__ import annotations

import dataclasses

import pytest

from search.checkpoints.root import Marker, claim
from search.checkpoints.study_folders import delete_study, disk_space, rename_study
from search.ledger.ledger import Ledger
from search.locking.folder_lock import OWNER, study_lock
from search.storage.location import FILE
from tests.made.studies import begin, study_settings
from trainables.training.checkpoint_store import checkpoint_store


@pytest.fixture
def folder(tmp_path, space):
    """A study with a trial and its checkpoint."""
    folder = tmp_path / "study"
    ledger = Ledger.create(folder)
    ledger.settings = dataclasses.asdict(study_settings())
    begin(ledger, space)
    root = study_settings().checkpoint_root(folder)
    claim(root, ledger, folder)
    checkpoint_store(root, 0).save("best", {"epoch": 1})
    for name in ("trials/0000/events", "report/report.html", "replay/replay.csv"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).write_text("x")
    return folder


@pytest.mark.parametrize(
    ("sizes", "shown"), [([], "0.0 MiB"), ([2**20, 2**19], "1.5 MiB"), ([2**30 + 2**29], "1.5 GiB")]
)
def test_the_space_of_all_files_below_counts(sizes, shown, tmp_path):
    (tmp_path / "deep").mkdir()
    for number, size in enumerate(sizes):
        with (tmp_path / "deep" / str(number)).open("wb") as file:
            file.truncate(size)
    assert disk_space(tmp_path) == shown


def test_a_renamed_study_is_the_same_one(folder, tmp_path):
    before = Ledger.open(folder)
    rename_study(folder, tmp_path / "new", print)
    after = Ledger.open(tmp_path / "new")
    assert (after.identity, after.records()) == (before.identity, before.records())
    assert not folder.exists()
    assert not [path for path in (tmp_path / "new").iterdir() if path.name.startswith(("driver-", OWNER))]


def test_a_name_that_is_taken_is_refused(folder, tmp_path):
    (tmp_path / "new").mkdir()
    with pytest.raises(ValueError, match="new: already exists; give another name"):
        rename_study(folder, tmp_path / "new", print)
    assert folder.exists()


@pytest.mark.parametrize(
    "change",
    [lambda folder: rename_study(folder, folder.with_name("new"), print), lambda folder: delete_study(folder, print)],
)
def test_a_study_that_somebody_runs_stays_as_it_is(change, folder):
    with study_lock(folder), pytest.raises(ValueError, match="study 'study' is run by "):
        change(folder)
    assert Ledger.open(folder).records()
    with pytest.raises(ValueError, match="no study there"):
        change(folder.with_name("none"))


def test_a_deleted_study_is_gone(folder):
    assert delete_study(folder, print) == []
    assert not folder.exists()


def test_what_is_not_of_the_study_stays(folder):
    (folder / "notes.txt").write_text("mine")
    assert delete_study(folder, print) == [folder / "notes.txt"]
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]


def test_nothing_is_deleted_through_a_link(folder, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "best.pt").write_text("mine")
    (folder / "checkpoints" / "0001").symlink_to(tmp_path / "other")
    with pytest.raises(ValueError, match="is a symbolic link"):
        delete_study(folder, print)
    assert (folder / FILE).exists()
    assert (tmp_path / "other" / "best.pt").exists()


@pytest.mark.parametrize("whose", ["its own", "another's"])
def test_checkpoints_elsewhere_go_with_their_study_alone(whose, folder, tmp_path):
    root, said = f"file://{tmp_path}/store/checkpoints", []
    ledger = Ledger.create(tmp_path / "far")
    ledger.settings = dataclasses.asdict(study_settings(checkpoints=root))
    claim(root, ledger, tmp_path / "far")
    checkpoint_store(root, 0).save("best", {"epoch": 1})
    if whose == "another's":
        marker = Marker.read(root)
        dataclasses.replace(marker, identity="other").write(root)
    delete_study(tmp_path / "far", said.append)
    assert not (tmp_path / "far").exists()
    assert (tmp_path / "store" / "checkpoints" / "0000" / "best.pt").exists() == (whose == "another's")
    assert ("is not deleted" in "".join(said)) == (whose == "another's")
