from __future__ import annotations

import http.server
import pickle
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from pyarrow import fs

from trainables import outage_retries
from trainables.errors import StorageError
from trainables.training.checkpoint_store import PAUSES, CheckpointStore, checkpoint_store, join_uri, stored_trials


@pytest.fixture
def store(tmp_path):
    return CheckpointStore(str(tmp_path / "trial"))


def test_what_was_saved_comes_back_and_replaces_what_was_there(store, tmp_path):
    assert store.load("last") is None
    store.save("last", {"epoch": 1})
    store.save("last", {"epoch": 2, "model": {"w": torch.arange(3)}})
    loaded = store.load("last")
    assert loaded["epoch"] == 2
    assert loaded["model"]["w"].tolist() == [0, 1, 2]
    assert [path.name for path in (tmp_path / "trial").iterdir()] == ["last.pt"]
    store.save("best", {})
    (tmp_path / "trial" / "best.pt.0123").write_bytes(b"half of it")
    store.keep("best")
    assert [path.name for path in (tmp_path / "trial").iterdir()] == ["best.pt"]
    store.keep()
    store.keep()
    assert store.load("best") is None


@pytest.fixture
def no_pauses(monkeypatch):
    """The pauses that would have been made."""
    made: list[float] = []
    monkeypatch.setattr(time, "sleep", made.append)
    return made


def test_a_write_that_breaks_leaves_the_old_one(store, tmp_path, monkeypatch, no_pauses):
    store.save("last", {"epoch": 1})

    with monkeypatch.context() as broken:
        broken.setattr(store, "_fs", BrokenMove())
        with pytest.raises(StorageError, match=r"trial: .*No space left"):
            store.save("last", {"epoch": 2})
    assert no_pauses == list(PAUSES)
    assert store.load("last") == {"epoch": 1}
    assert [path.name for path in (tmp_path / "trial").iterdir()] == ["last.pt"]


class BrokenMove(fs.LocalFileSystem):
    def move(self, *_):
        raise OSError(28, "No space left on device")


def test_storage_that_answers_again_is_used(store, monkeypatch, no_pauses):
    class Recovers(fs.LocalFileSystem):
        def move(self, *arguments):
            if len(no_pauses) < 2:
                raise OSError("connection reset")
            super().move(*arguments)

    monkeypatch.setattr(store, "_fs", Recovers())
    store.save("last", {"epoch": 1})
    assert store.load("last") == {"epoch": 1}
    assert no_pauses == [1.0, 2.0]


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps({"epoch": print})])
def test_a_file_that_is_no_checkpoint_is_refused_by_name(content, store, tmp_path):
    (tmp_path / "trial").mkdir()
    (tmp_path / "trial" / "last.pt").write_bytes(content)
    with pytest.raises(ValueError, match=r"trial/last\.pt: not a readable checkpoint"):
        store.load("last")


@pytest.mark.parametrize(
    ("root", "expected"),
    [
        ("/a/b", "/a/b/c/d"),
        ("/a/b?", "/a/b?/c/d"),
        ("s3://a/b/", "s3://a/b/c/d"),
        ("s3://a/b?scheme=http&region=x", "s3://a/b/c/d?scheme=http&region=x"),
    ],
)
def test_addresses_below_another(root, expected):
    assert join_uri(root, "c", "d") == expected


@pytest.mark.parametrize("scheme", ["file", "s3"])
def test_a_uri(scheme, tmp_path, request):
    if scheme == "s3":
        uri = request.getfixturevalue("object_store")("study/checkpoints")
    else:
        uri = (tmp_path / "checkpoints").as_uri()
    store = checkpoint_store(uri, 7)
    assert store.load("best") is None
    store.save("best", {"epoch": 3})
    store.save("best", {"epoch": 4})
    assert checkpoint_store(uri, 7).load("best") == {"epoch": 4}
    assert checkpoint_store(uri, 8).load("best") is None
    CheckpointStore(uri).keep()  # as the probe before a study that goes on: the folders below are not its own
    assert store.load("best") == {"epoch": 4}
    store.keep()
    assert store.load("best") is None


@pytest.mark.slow  # a client of S3 asks a server that is away for six seconds, each time
def test_an_object_store_that_is_away_for_a_while_loses_nothing(s3_server):
    store = CheckpointStore(s3_server.uri("study/0000"))
    store.save("last", {"epoch": 1})
    s3_server.stop()
    with pytest.raises(StorageError, match="study/0000"):
        CheckpointStore(store.location, pauses=()).save("last", {"epoch": 2})
    back = threading.Timer(2.0, s3_server.start)
    back.start()
    assert store.load("last") == {"epoch": 1}  # waits
    back.join()
    store.save("last", {"epoch": 2})
    assert store.load("last") == {"epoch": 2}


class Unavailable(http.server.BaseHTTPRequestHandler):
    """Answers, but does nothing: as an object store that is overloaded or starts."""

    def do_PUT(self) -> None:
        self.send_error(501)

    do_GET = do_HEAD = do_POST = do_PUT

    def log_message(self, *_) -> None:
        pass


def test_an_object_store_that_gives_errors_for_a_while_loses_nothing(s3_server, monkeypatch):
    store = CheckpointStore(s3_server.uri("study/0000"))
    store.save("last", {"epoch": 1})

    def once_broken(action):
        """The storage answers again in the second pause."""
        s3_server.stop()
        broken = http.server.ThreadingHTTPServer(("127.0.0.1", s3_server.port), Unavailable)
        threading.Thread(target=broken.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        pauses: list[float] = []

        def sleep(pause: float) -> None:
            pauses.append(pause)
            if len(pauses) == 2:
                broken.shutdown()
                broken.server_close()
                s3_server.start()

        monkeypatch.setattr(outage_retries, "time", SimpleNamespace(sleep=sleep))
        with pytest.raises(StorageError, match="study/0000"):
            CheckpointStore(store.location, pauses=()).save("last", {"epoch": 2})
        result = action()
        assert pauses == [1.0, 2.0]
        return result

    assert once_broken(lambda: store.load("last")) == {"epoch": 1}
    once_broken(lambda: store.save("last", {"epoch": 2}))
    assert store.load("last") == {"epoch": 2}


@pytest.mark.parametrize("linked", ["the trial's folder", "the folder of all trials"])
def test_links_are_not_followed(linked, tmp_path):
    """In a study that came from somebody else they may lead anywhere."""
    precious = CheckpointStore(str(tmp_path / "precious" / "0007"))
    for name in ("last", "best"):
        precious.save(name, {"epoch": 1})
    root = tmp_path / "study" / "checkpoints"
    root.parent.mkdir()
    if linked == "the trial's folder":
        root.mkdir()
        (root / "0007").symlink_to(tmp_path / "precious" / "0007")
    else:
        root.symlink_to(tmp_path / "precious")
    assert stored_trials(str(root)) == set()
    store = checkpoint_store(str(root), 7)
    store.keep()
    store.delete()
    for use in (lambda: store.save("best", {}), lambda: store.load("best")):
        with pytest.raises(StorageError, match=r"a symbolic link .* is not followed"):
            use()
    assert precious.load("last") == precious.load("best") == {"epoch": 1}
