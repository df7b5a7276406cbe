"""When a storage is asked again, and what is left where a write breaks."""

from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
import torch
from pyarrow import fs

from trainables.errors import StorageError
from trainables.training import checkpoint_store
from trainables.training.checkpoint_store import CheckpointStore


@pytest.fixture
def slept(monkeypatch):
    """The pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


@pytest.fixture
def store(tmp_path, slept):
    store = CheckpointStore(str(tmp_path / "trial"))
    store.save("last", {"epoch": 1})
    return store


def names(tmp_path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "trial").iterdir())


def failing(monkeypatch, store, method, errors):
    """`method` of the storage raises these errors, and then works. Returns its calls."""
    calls = []

    class Failing(type(store._fs)):
        pass

    def call(self, *arguments, **named):
        calls.append(arguments)
        if len(calls) <= len(errors):
            raise errors[len(calls) - 1]
        return getattr(super(Failing, self), method)(*arguments, **named)

    setattr(Failing, method, call)
    monkeypatch.setattr(store, "_fs", Failing())
    return calls


ACTIONS = {
    "save": ("move", lambda store: store.save("last", {"epoch": 2})),
    "load": ("open_input_file", lambda store: store.load("last")),
}
every_action = pytest.mark.parametrize(("method", "action"), ACTIONS.values(), ids=ACTIONS)


@every_action
def test_it_is_asked_again_after_longer_and_longer_pauses_for_half_a_minute(method, action, store, slept, monkeypatch):
    calls = failing(monkeypatch, store, method, [OSError("away")] * 99)
    with pytest.raises(StorageError, match=r"/trial: away$") as raised:
        action(store)
    assert slept == [1.0, 2.0, 4.0, 8.0, 15.0]
    assert len(calls) == 6
    assert isinstance(raised.value.__cause__, OSError)


@every_action
@pytest.mark.parametrize("failures", [0, 1, 5])
def test_it_goes_on_with_the_first_answer(failures, method, action, store, slept, monkeypatch):
    calls = failing(monkeypatch, store, method, [OSError("away")] * failures)
    action(store)
    assert slept == [1.0, 2.0, 4.0, 8.0, 15.0][:failures]
    assert len(calls) == failures + 1
    assert store.load("last") == {"epoch": 2 if method == "move" else 1}


@every_action
def test_what_is_forbidden_is_not_tried_again(method, action, store, slept, monkeypatch):
    calls = failing(monkeypatch, store, method, [PermissionError("not yours")] * 99)
    with pytest.raises(StorageError, match=r"/trial: not yours$"):
        action(store)
    assert slept == []
    assert len(calls) == 1


@every_action
def test_errors_that_are_not_the_storages_stay_what_they_are(method, action, store, slept, monkeypatch):
    failing(monkeypatch, store, method, [RuntimeError("a bug")] * 99)
    with pytest.raises(RuntimeError, match="a bug") as raised:
        action(store)
    assert not isinstance(raised.value, StorageError)
    assert slept == []


@pytest.mark.parametrize("pauses", [(), (0.5,), (3.0, 1.0)])
def test_the_pauses_can_be_chosen(pauses, tmp_path, slept, monkeypatch):
    store = CheckpointStore(str(tmp_path / "trial"), pauses=pauses)
    calls = failing(monkeypatch, store, "create_dir", [OSError("away")] * 99)
    with pytest.raises(StorageError):
        store.save("last", {})
    assert slept == list(pauses)
    assert len(calls) == len(pauses) + 1


class Stops(io.BytesIO):
    """A stream that takes the first part and then fails."""

    def __init__(self, path: str, error: BaseException):
        super().__init__()
        self.path, self.error = Path(path), error

    def write(self, content) -> int:
        self.path.write_bytes(bytes(content[:10]))
        raise self.error


@pytest.mark.parametrize("error", [OSError("full"), KeyboardInterrupt()])
def test_half_a_file_is_never_in_the_place_of_a_whole_one(error, store, slept, tmp_path, monkeypatch):
    class Breaks(fs.LocalFileSystem):
        def open_output_stream(self, path):
            return Stops(path, error)

    with monkeypatch.context() as broken:
        broken.setattr(store, "_fs", Breaks())
        with pytest.raises((StorageError, KeyboardInterrupt)):
            store.save("last", {"epoch": 2})
    assert store.load("last") == {"epoch": 1}
    assert names(tmp_path) == ["last.pt"]


def test_a_local_file_is_complete_under_a_name_of_its_own_before_it_takes_its_place(store, tmp_path, monkeypatch):
    moved = []

    class Moves(fs.LocalFileSystem):
        def move(self, source, target):
            moved.append((source, target))
            assert torch.load(source) == {"epoch": 2}
            assert store.load("last") == {"epoch": 1}
            if len(moved) == 3:
                super().move(source, target)

    monkeypatch.setattr(store, "_fs", Moves())
    for _ in range(3):
        store.save("last", {"epoch": 2})
    folder = tmp_path / "trial"
    assert {Path(source).parent for source, _ in moved} == {folder}
    assert all(Path(source).name.startswith("last.pt.") for source, _ in moved)
    assert len({source for source, _ in moved}) == 3  # two processes may write at once
    assert {target for _, target in moved} == {f"{folder}/last.pt"}
    assert store.load("last") == {"epoch": 2}


@pytest.fixture
def uploads(store, tmp_path, monkeypatch):
    """Not a local file system, as an object store is not. Returns the names that are written to and deleted."""
    seen: list[tuple[str, str]] = []

    class Uploads(fs.SubTreeFileSystem):
        broken = False

        def open_output_stream(self, path):
            seen.append(("written", Path(path).name))
            if Uploads.broken:
                raise OSError("reset by peer")
            return super().open_output_stream(path)

        def delete_file(self, path):
            seen.append(("deleted", Path(path).name))

    monkeypatch.setattr(store, "_fs", Uploads("/", fs.LocalFileSystem()))
    return seen, Uploads


def test_an_upload_has_its_final_name_at_once(store, uploads):
    store.save("last", {"epoch": 2})
    assert uploads[0] == [("written", "last.pt")]
    assert store.load("last") == {"epoch": 2}


def test_an_upload_that_breaks_deletes_nothing(store, uploads):
    seen, kind = uploads
    kind.broken = True
    with pytest.raises(StorageError, match="reset by peer"):
        store.save("last", {"epoch": 2})
    assert seen == [("written", "last.pt")] * 6
    assert store.load("last") == {"epoch": 1}


def test_tensors_come_back_on_the_device_that_was_asked_for(store):
    store.save("best", {"model": {"w": torch.arange(3)}})
    assert store.load("best", "meta")["model"]["w"].device.type == "meta"
    assert store.load("best", torch.device("meta"))["model"]["w"].device.type == "meta"
    assert store.load("best")["model"]["w"].device.type == "cpu"


def test_a_checkpoint_that_holds_more_than_plain_values_is_refused(store, tmp_path):
    """Unpickling anything else may run any code."""
    torch.save({"epoch": print}, tmp_path / "trial" / "last.pt")
    with pytest.raises(ValueError, match=r"trial/last\.pt: not a readable checkpoint"):
        store.load("last")


def test_keep_leaves_what_is_named_and_folders_alone(store, tmp_path):
    store.save("best", {})
    for name in ("other.pt", "best.pt.0123", "notes.txt"):
        (tmp_path / "trial" / name).write_text("")
    (tmp_path / "trial" / "last").mkdir()
    store.keep("best", "last")
    others = ["notes.txt", "other.pt"]  # no file that a trial writes
    assert names(tmp_path) == ["best.pt", "last", "last.pt", *others]
    store.keep()
    assert names(tmp_path) == ["last", *others]


def test_what_was_never_written_can_be_asked_for_and_tidied(tmp_path):
    nowhere = CheckpointStore(str(tmp_path / "nowhere"))
    assert nowhere.load("last") is None
    assert nowhere.folders() == []
    nowhere.keep()
    nowhere.delete()
    assert not (tmp_path / "nowhere").exists()


def test_a_store_is_deleted_with_its_place_and_nothing_beside_it(store, tmp_path):
    other = CheckpointStore(str(tmp_path / "other" / "deeper"))
    other.save("last", {})
    (tmp_path / "trial" / "below").mkdir()
    store.delete()
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert other.load("last") == {}


def test_folders_are_told_by_name_and_files_are_not(store, tmp_path):
    for name in ("0000", "0001"):
        CheckpointStore(str(tmp_path / "trial" / name)).save("last", {})
    assert sorted(store.folders()) == ["0000", "0001"]
    assert sorted(CheckpointStore(tmp_path.as_uri()).folders()) == ["trial"]


def test_nobody_waits_longer_than_half_a_minute_by_default():
    assert checkpoint_store.PAUSES == (1.0, 2.0, 4.0, 8.0, 15.0)
    assert CheckpointStore("/anywhere").pauses == checkpoint_store.PAUSES
