"""Whose checkpoints a place holds, and that retention touches no others."""

from __future__ import annotations

import shutil
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from search.checkpoints.retention import CheckpointRetention
from search.checkpoints.root import FILE, Marker, check_root, claim, set_aside
from search.ledger.ledger import Ledger
from tests.made.studies import begin, epoch_report, study_settings
from trainables.training.checkpoint_store import checkpoint_store, stored_trials


def driven(folder, space, *scores, root=None):
    """A driver's run of the study there, with a trial for each score; returns ledger and marker."""
    settings = study_settings(checkpoints=root or "checkpoints")
    place = settings.checkpoint_root(folder)
    if check_root(place, Ledger.find(folder)):
        set_aside(place, Ledger.find(folder), lambda text: None)
    ledger = Ledger.create(folder)
    ledger.settings = asdict(settings)
    marker = claim(place, ledger, folder)
    keeper = CheckpointRetention(place, ledger.records(), marker=marker)
    for score in scores:
        number = begin(ledger, space).number
        for name in ("last", "best"):
            checkpoint_store(place, number).save(name, {"epoch": 1})
        ledger.add_epoch(number, epoch_report(1, score))
        keeper.trial_ended(ledger.complete(number))
    return ledger, marker


def weights(folder):
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob("best.pt")}


BEST = {"checkpoints/0001/best.pt", "checkpoints/0002/best.pt", "checkpoints/0003/best.pt"}
SCORES = (0.5, 0.6, 0.7, 0.8)


@pytest.fixture
def shared(tmp_path):
    """A place that several machines reach."""
    return f"file://{tmp_path}/store/mars/checkpoints"


def test_a_renamed_study_goes_on_with_its_trials_and_weights(tmp_path, space):
    before, _ = driven(tmp_path / "mars", space, *SCORES)
    renamed = (tmp_path / "mars").rename(tmp_path / "mars-2026")
    after, _ = driven(renamed, space)
    assert after.identity == before.identity
    assert [record.score for record in after.records()] == list(SCORES)
    assert weights(renamed) == BEST
    reader = Ledger.find(renamed)
    assert reader is not None
    assert reader.record(3) == after.record(3)
    driven(renamed, space, 0.9)
    assert [record.score for record in Ledger.open(renamed).records()] == [*SCORES, 0.9]
    assert weights(renamed) == BEST - {"checkpoints/0001/best.pt"} | {"checkpoints/0004/best.pt"}


def test_a_copied_study_and_the_first_one_go_on_by_themselves(tmp_path, space):
    driven(tmp_path / "mars", space, *SCORES)
    shutil.copytree(tmp_path / "mars", tmp_path / "copy")
    driven(tmp_path / "copy", space, 0.9, 0.95)
    driven(tmp_path / "mars", space, 0.1)
    assert weights(tmp_path / "mars") == BEST
    assert [record.score for record in Ledger.open(tmp_path / "mars").records()] == [*SCORES, 0.1]
    assert [record.score for record in Ledger.open(tmp_path / "copy").records()] == [*SCORES, 0.9, 0.95]


def test_each_study_has_an_identity_of_its_own_from_its_first_entry_on(tmp_path):
    identities = {Ledger.create(tmp_path / name).identity for name in "abc"}
    assert len(identities) == 3
    assert Ledger.open(tmp_path / "a").identity in identities
    assert Ledger.create(tmp_path / "a").identity in identities


def test_two_studies_never_share_a_place(tmp_path, shared, space):
    driven(tmp_path / "one" / "mars", space, *SCORES, root=shared)
    before = weights(tmp_path / "store")
    assert len(before) == 3
    for again in range(2):
        other = tmp_path / f"other{again}" / "mars"
        expected = f"{shared}: holds checkpoints of another study, run by .* in {tmp_path}/one/mars on .*: give another"
        with pytest.raises(ValueError, match=expected):
            driven(other, space, root=shared)
        assert not other.exists()
        if again:  # nor does one that has trials of its own
            driven(other, space, 0.1)
            with pytest.raises(ValueError, match=expected):
                check_root(shared, Ledger.open(other))
    assert weights(tmp_path / "store") == before
    driven(tmp_path / "one" / "mars", space, 0.9, root=shared)


def test_a_copy_does_not_go_on_with_checkpoints_that_went_on_without_it(tmp_path, shared, space):
    driven(tmp_path / "mars", space, *SCORES, root=shared)
    shutil.copytree(tmp_path / "mars", tmp_path / "copy")
    driven(tmp_path / "copy", space, 0.9, root=shared)
    before = weights(tmp_path / "store")
    with pytest.raises(ValueError, match=f"that a copy of this study has continued, run by .* in {tmp_path}/copy on"):
        driven(tmp_path / "mars", space, 0.2, root=shared)
    assert weights(tmp_path / "store") == before
    driven(tmp_path / "copy", space, 0.95, root=shared)


def test_a_run_that_was_killed_before_it_left_its_marker_goes_on(tmp_path, shared, space):
    ledger, _ = driven(tmp_path / "mars", space, *SCORES, root=shared)
    ledger.add_run("killed")
    driven(tmp_path / "mars", space, 0.9, root=shared)
    assert len(Ledger.open(tmp_path / "mars").records()) == 5


def test_a_driver_that_lost_its_place_deletes_nothing_there(tmp_path, shared, space):
    ledger, marker = driven(tmp_path / "mars", space, *SCORES, root=shared)
    keeper = CheckpointRetention(shared, ledger.records(), marker=marker)
    checkpoint_store(shared, 3).save("last", {})
    before = sorted((tmp_path / "store").rglob("*.pt"))
    assert len(before) == 4

    def retain():
        CheckpointRetention(shared, [], marker=marker)
        keeper.trial_ended(ledger.record(3))

    for other in (replace(marker, identity="another"), replace(marker, run="a later one")):
        other.write(shared)
        retain()
    (tmp_path / "store/mars/checkpoints" / FILE).write_text("damaged")
    retain()
    (tmp_path / "store/mars/checkpoints" / FILE).unlink()
    retain()
    assert sorted((tmp_path / "store").rglob("*.pt")) == before
    marker.write(shared)
    retain()
    assert list((tmp_path / "store").rglob("*.pt")) == []


def made_before_identities(folder, space, root):
    """A study as older versions left it."""
    import optuna
    from optuna.storages import JournalStorage

    from search.storage.journal import Journal

    folder.mkdir(parents=True)
    storage = JournalStorage(Journal(folder / "ledger.journal", writable=True))
    optuna.create_study(storage=storage, study_name=folder.name, direction="maximize")
    ledger = Ledger(storage, folder.name)
    ledger.settings = asdict(study_settings(checkpoints=root or "checkpoints"))
    for score in SCORES[1:]:
        number = begin(ledger, space).number
        checkpoint_store(study_settings(checkpoints=root or "checkpoints").checkpoint_root(folder), number).save(
            "best", {}
        )
        ledger.add_epoch(number, epoch_report(1, score))
        ledger.complete(number)
    assert ledger.identity is None


@pytest.mark.parametrize("remote", [False, True])
def test_a_study_from_before_gets_an_identity_and_keeps_its_checkpoints(remote, tmp_path, shared, space):
    root = shared if remote else None
    made_before_identities(tmp_path / "mars", space, root)
    renamed = (tmp_path / "mars").rename(tmp_path / "renamed")
    assert Ledger.open(renamed).identity is None
    ledger, marker = driven(renamed, space, 0.9, root=root)
    assert ledger.identity == marker.identity == Ledger.open(renamed).identity
    assert [record.score for record in Ledger.open(renamed).records()] == [*SCORES[1:], 0.9]
    assert len(weights(tmp_path)) == 3
    again, _ = driven(renamed, space, 0.95, root=root)
    assert again.identity == ledger.identity


def test_a_place_without_a_marker_belongs_to_no_study_that_begins(tmp_path, shared, space):
    made_before_identities(tmp_path / "mars", space, shared)
    with pytest.raises(ValueError, match=f"{shared}: holds checkpoints of another study: give another --name"):
        driven(tmp_path / "elsewhere" / "mars", space, root=shared)
    assert stored_trials(shared) == {0, 1, 2}


@pytest.mark.parametrize("marked", [True, False])
def test_a_study_whose_ledger_is_lost_begins_anew_and_its_weights_are_kept(marked, tmp_path, space):
    folder = tmp_path / "mars"
    driven(folder, space, *SCORES)
    (folder / "ledger.journal").write_bytes(b"")
    if not marked:
        (folder / "checkpoints" / FILE).unlink()
    driven(folder, space, 0.1)
    assert [record.score for record in Ledger.open(folder).records()] == [0.1]
    (aside,) = folder.glob("checkpoints.before-*")
    assert {path.parent.name for path in aside.rglob("best.pt")} == {"0001", "0002", "0003"}
    driven(folder, space, 0.2)
    assert len(list(folder.glob("checkpoints.before-*"))) == 1


def test_nothing_is_set_aside_once_a_study_has_trials(tmp_path, space):
    """Another driver may have begun it since it was looked at."""
    driven(tmp_path / "mars", space, *SCORES)
    set_aside(str(tmp_path / "mars" / "checkpoints"), Ledger.open(tmp_path / "mars"), pytest.fail)
    with pytest.raises(ValueError, match="holds checkpoints of another study"):
        set_aside(str(tmp_path / "mars" / "checkpoints"), driven(tmp_path / "other", space, 0.5)[0], pytest.fail)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "{}", '{"identity": 3, "run": "", "user": "", "host": ""}'])
def test_a_damaged_marker_is_named(text, tmp_path, space):
    driven(tmp_path / "mars", space, 0.5)
    (tmp_path / "mars" / "checkpoints" / FILE).write_text(text)
    with pytest.raises(
        ValueError, match=rf"checkpoints: the file {FILE}, .* is damaged: delete it if they are this study's"
    ):
        driven(tmp_path / "mars", space, 0.6)
    (tmp_path / "mars" / "checkpoints" / FILE).unlink()
    driven(tmp_path / "mars", space, 0.6)


def test_a_marker_says_whose_it_is(tmp_path, space, monkeypatch):
    monkeypatch.setattr("getpass.getuser", lambda: "alice")
    monkeypatch.setattr("socket.gethostname", lambda: "node7")
    ledger, marker = driven(tmp_path / "mars", space)
    assert Marker.read(str(tmp_path / "mars" / "checkpoints")) == marker
    assert (marker.user, marker.host, marker.folder) == ("alice", "node7", str(tmp_path / "mars"))
    assert marker.run == ledger.runs[-1]
    _, later = driven(tmp_path / "mars", space)
    assert Ledger.open(tmp_path / "mars").runs == [marker.run, later.run]


def test_a_place_that_cannot_be_used_is_named(tmp_path, space):
    ledger = Ledger.create(tmp_path / "mars")
    (tmp_path / "file").touch()
    for asks in (lambda root: check_root(root, ledger), lambda root: claim(root, ledger, tmp_path)):
        with pytest.raises(ValueError, match=rf"{tmp_path}/file/x: cannot .* \(.*\)"):
            asks(str(tmp_path / "file" / "x"))
