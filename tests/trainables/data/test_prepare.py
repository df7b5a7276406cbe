from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.made.competition import MARS_KEYS
from tests.processes.scripts import HANGS_AFTER
from trainables.data import SAMPLE, DataSource, prepare

ROOT = Path(__file__).resolve().parents[3]
MARS_FILE = Path(os.environ.get("MARS_DATA") or ROOT.parent / "shared" / "data" / "mars.npz")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def mapped_file(array: np.ndarray) -> str:
    while not isinstance(array, np.memmap):
        assert array.base is not None, "not a memory map"
        array = array.base
    return str(array.filename)


def test_arrays_are_maps_of_one_file_that_is_written_once(tiny_npz, cache):
    first = prepare(DataSource(uri=str(tiny_npz)), cache=cache)
    written = (first.folder / "images.npy").stat().st_mtime_ns
    again = prepare(DataSource(uri=str(tiny_npz), seed=3), cache=cache)
    assert again.folder == first.folder
    assert mapped_file(again.images) == mapped_file(first.images) == str(first.folder / "images.npy")
    assert (first.folder / "images.npy").stat().st_mtime_ns == written
    assert first.fingerprint != again.fingerprint  # another split
    with pytest.raises(ValueError, match="read-only"):
        first.images[0] = 0


def test_it_pickles_as_a_path(tiny):
    assert len(pickle.dumps(tiny)) < 1000
    copy = pickle.loads(pickle.dumps(tiny))
    assert np.array_equal(copy.images, tiny.images)
    assert copy.fingerprint == tiny.fingerprint


def test_processes_that_race_write_one_copy(tiny_npz, cache):
    code = (
        "import sys; from pathlib import Path; from trainables.data import DataSource, prepare\n"
        "data = prepare(DataSource(uri=sys.argv[1]), cache=Path(sys.argv[2]))\n"
        "print(data.folder, int(data.images.sum()))"
    )
    command = [sys.executable, "-c", code, str(tiny_npz), str(cache)]
    racers = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = {racer.communicate(timeout=HANGS_AFTER)[0] for racer in racers}
    assert len(outputs) == 1
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1


@pytest.mark.parametrize("damage", ["cut off", "gone", "no meta"])
def test_a_broken_copy_is_made_anew(damage, tiny_npz, cache):
    source = DataSource(uri=str(tiny_npz))
    folder = prepare(source, cache=cache).folder
    good = (folder / "masks.npy").read_bytes()
    if damage == "cut off":
        (folder / "masks.npy").write_bytes(good[:100])
    elif damage == "gone":
        (folder / "masks.npy").unlink()
    else:
        (folder / "meta.json").write_text("{")
    assert prepare(source, cache=cache).folder == folder
    assert (folder / "masks.npy").read_bytes() == good
    assert json.loads((folder / "meta.json").read_text())


def test_what_a_killed_process_left_behind_is_removed(tiny_npz, cache):
    folder = prepare(DataSource(uri=str(tiny_npz)), cache=cache).folder
    folder.rename(folder.with_name(f"{folder.name}.0123"))  # as if killed just before its folder was complete
    assert prepare(DataSource(uri=str(tiny_npz)), cache=cache).folder == folder
    assert [path for path in cache.iterdir() if path.is_dir()] == [folder]


def test_prepared_data_needs_no_lock(tiny_npz, cache, monkeypatch):
    """A cache that may only be read will do once the data is in it."""
    monkeypatch.setattr("trainables.data.sample.LABELLED", 20)  # all 680 scenes take seconds
    monkeypatch.setattr("trainables.data.sample.UNLABELLED", 1)
    for source in (DataSource(uri=str(tiny_npz)), DataSource(uri=SAMPLE)):
        folder = prepare(source, cache=cache).folder
        lock = folder.with_name(f"{folder.name}.lock")
        lock.unlink(missing_ok=True)
        assert prepare(source, cache=cache).folder == folder
        assert not lock.exists()


def test_a_full_cache_is_refused_and_left_as_it_was(tiny_npz, cache):
    code = (
        "import resource, sys; from pathlib import Path; from trainables.data import DataSource, prepare\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))\n"
        "try:\n    prepare(DataSource(uri=sys.argv[1]), cache=Path(sys.argv[2]))\n"
        "except ValueError as error:\n    print(error)"
    )
    command = [sys.executable, "-B", "-c", code, str(tiny_npz), str(cache)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=HANGS_AFTER)
    assert done.stdout.startswith(f"{cache}: prepared data cannot be kept there ("), done.stderr
    assert done.stdout.rstrip().endswith("set MARS_SEARCH_CACHE to another folder")
    assert not [path for path in cache.iterdir() if path.is_dir()]
    assert len(prepare(DataSource(uri=str(tiny_npz)), cache=cache).images) == 30


def test_the_cache_is_where_the_environment_says(tiny_npz, tmp_path, monkeypatch):
    monkeypatch.setenv("MARS_SEARCH_CACHE", str(tmp_path / "elsewhere"))
    assert prepare(DataSource(uri=str(tiny_npz))).folder.parent == tmp_path / "elsewhere"


@pytest.mark.parametrize(("labelled", "message"), [(40, "0 images are too few"), (5, "no mask that was kept holds")])
def test_what_the_audit_leaves_must_be_usable(labelled, message, tmp_path, cache):
    pairs = np.random.default_rng(0).integers(100, 120, (40, 2, 6, 8)).astype(np.uint8)
    pairs[:, 1] = 0
    pairs[:labelled, 1, 0] = np.arange(8) % 5
    np.savez(tmp_path / "d.npz", training_set=pairs, **MARS_KEYS)
    reason = f"; {labelled} were dropped: they share one and the same mask of several classes"
    with pytest.raises(ValueError, match=rf"d\.npz: {message}.*{reason}"):
        prepare(DataSource(uri=str(tmp_path / "d.npz")), cache=cache)


@pytest.mark.parametrize("uri", ["x" * 300, "/proc/self/mem"])
def test_a_file_that_cannot_be_read_is_not_blamed_on_the_cache(uri, cache):
    with pytest.raises(ValueError, match=f"{uri}: cannot be (reached|read)"):
        prepare(DataSource(uri=uri), cache=cache)


def test_a_file_that_changed_is_read_again(tmp_path, cache):
    pairs = np.zeros((12, 2, 4, 4), np.uint8)
    pairs[:, 1] = 1
    for value in (10, 20):
        pairs[:, 0] = value
        np.savez(tmp_path / "d.npz", training_set=pairs, **MARS_KEYS)
        assert prepare(DataSource(uri=str(tmp_path / "d.npz")), cache=cache).images[0, 0, 0] == value


@pytest.mark.parametrize("space", [" ", "%20"])
def test_a_uri_may_have_spaces(space, tmp_path, cache):
    pairs = np.random.default_rng(0).integers(0, 5, (40, 2, 6, 8)).astype(np.uint8)
    (tmp_path / "my data").mkdir()
    np.savez(tmp_path / "my data" / "d.npz", training_set=pairs, **MARS_KEYS)
    data = prepare(DataSource(uri=f"file://{tmp_path}/my{space}data/d.npz"), cache=cache)
    assert len(data.images) == 40


def test_outliers_are_left_out_and_reported(tmp_path, cache):
    rng = np.random.default_rng(0)
    pairs = rng.integers(0, 5, (40, 2, 6, 8)).astype(np.uint8)
    pairs[[4, 8, 9], 1] = pairs[4, 1]
    np.savez(tmp_path / "d.npz", training_set=pairs, **MARS_KEYS)
    data = prepare(DataSource(uri=str(tmp_path / "d.npz")), cache=cache)
    assert len(data.images) == len(data.masks) == 37
    assert np.array_equal(data.masks, np.delete(pairs[:, 1], [4, 8, 9], axis=0))
    assert [(found.indices, found.reason) for found in data.report.dropped] == [
        ((4, 8, 9), "share one and the same mask of several classes")
    ]
    assert (
        "dropped 3 images that share one and the same mask of several classes (indices 4, 8, 9)"
        in data.report.summary()
    )


def test_counts_and_labels_are_those_of_the_masks(tiny):
    train = np.asarray(tiny.masks[tiny.split["train"]])
    assert tiny.pixel_counts(tiny.split["train"]).tolist() == [(train == label).sum() for label in range(4)]
    assert tiny.present_labels == (1, 2, 3)
    assert tiny.pixels.scale == 1 / 255
    assert tiny.name == "tiny"
    assert len(tiny.unlabelled) == 7
    assert sum(tiny.report.class_shares.values()) == pytest.approx(1)


def test_a_class_too_rare_for_every_part_is_a_warning(tmp_path, cache):
    pairs = np.random.default_rng(0).integers(1, 4, (40, 2, 6, 8)).astype(np.uint8)
    pairs[5, 1, 0, 0] = 4
    np.savez(tmp_path / "d.npz", training_set=pairs, **MARS_KEYS)
    (warning,) = prepare(DataSource(uri=str(tmp_path / "d.npz")), cache=cache).report.warnings
    assert warning.startswith("class 4 (big rock) is too rare to be in every part: none in ")


@pytest.mark.parametrize("scheme", ["path", "file", "s3"])
def test_every_kind_of_address_gives_the_same_data(scheme, request, tiny_npz, tiny, cache):
    if scheme == "s3":
        uri = request.getfixturevalue("bucket")
    else:
        uri = tiny_npz.as_uri() if scheme == "file" else str(tiny_npz)
    data = prepare(DataSource(uri=uri), cache=cache)
    assert data.fingerprint == tiny.fingerprint
    assert data.name == "tiny"
    assert np.array_equal(data.images, tiny.images)


@pytest.fixture
def bucket(object_store: Callable[[str], str], tiny_npz: Path) -> str:
    """The tiny data set in an object store."""
    from pyarrow import fs

    filesystem, path = fs.FileSystem.from_uri(object_store("data/tiny.npz"))
    with filesystem.open_output_stream(path) as stream:
        stream.write(tiny_npz.read_bytes())
    return object_store("data/tiny.npz")


def test_an_object_that_is_not_there_is_refused(object_store, cache):
    with pytest.raises(ValueError, match="no such file"):
        prepare(DataSource(uri=object_store("data/gone.npz")), cache=cache)


@pytest.mark.skipif(not MARS_FILE.exists(), reason=f"the real data is not at {MARS_FILE} (MARS_DATA names it)")
def test_the_real_data(cache):
    data = prepare(DataSource(uri=str(MARS_FILE)), cache=cache)
    (aliens,) = data.report.dropped
    assert len(aliens.indices) == 110
    assert data.images.shape == data.masks.shape == (2505, 64, 128)
    assert len(data.unlabelled) == 10022
    assert {part: len(indices) for part, indices in data.split.items()} == {"train": 2003, "val": 251, "test": 251}
    assert all(data.pixel_counts(data.split[part])[4] > 0 for part in data.split)
