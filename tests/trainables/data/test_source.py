from __future__ import annotations

import dataclasses
import io
import os
from pathlib import Path

import pytest

from trainables.data.source import SAMPLE, DataSource, find


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "mars.v2.npz"
    path.write_bytes(b"12345")
    os.utime(path, ns=(7, 1_234_567_890))
    return path


@pytest.mark.parametrize(
    ("uri", "name"),
    [
        ("sample", "sample"),
        ("data/mars.npz", "mars"),
        ("/data/mars.v2.npz", "mars.v2"),
        ("s3://bucket/data/mars.npz?scheme=http&endpoint_override=h:1/x.npz", "mars"),
    ],
)
def test_a_data_set_is_named_like_its_file(uri, name):
    assert DataSource(uri=uri).name == name


def test_a_relative_path_is_made_absolute_and_all_else_is_the_same_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cleaning = {"keep_outliers": True, "drop_list": (2, 5)}
    relative = DataSource(uri="data/../mars.npz", seed=4, **cleaning)
    assert relative.anywhere == DataSource(uri=str(tmp_path.resolve() / "mars.npz"), seed=4, **cleaning)
    for uri in (SAMPLE, "s3://bucket/mars.npz", "/data/mars.npz"):
        source = DataSource(uri=uri, seed=4)
        assert source.anywhere == source


def test_the_split_has_seed_0_unless_another_is_given():
    assert DataSource(uri="x.npz").seed == 0


def test_a_file_is_found_with_its_size_and_its_time_of_change(file, monkeypatch):
    monkeypatch.chdir(file.parent)
    found = find("mars.v2.npz")
    assert found.uri == str(file.resolve())
    assert found.version == "5 1234567890"
    remote = find(file.as_uri())
    assert remote.uri == file.as_uri()
    assert remote.version == "5 1234567890"


@pytest.mark.parametrize("local", [True, False])
def test_what_was_found_is_opened_at_its_beginning_and_may_be_searched(local, file):
    with find(str(file) if local else file.as_uri()).open() as stream:
        assert isinstance(stream, io.BufferedReader)  # which reads a part at a time
        assert stream.read() == b"12345"
        stream.seek(3)
        assert stream.read() == b"45"


@pytest.mark.parametrize("local", [True, False])
def test_what_is_gone_when_it_is_opened_cannot_be_read(local, file):
    uri = str(file) if local else file.as_uri()
    found = find(uri)
    file.unlink()
    with pytest.raises(ValueError, match=rf"^{uri}: cannot be read \(.*{file.name}.*\)$"):
        found.open()


def test_what_is_no_file_is_refused_by_what_it_is(tmp_path):
    device, gone, long = "/dev/null", f"{tmp_path}/gone.npz", f"{tmp_path}/{'x' * 300}"
    assert refusal(device) == f"{device}: no such file or folder"
    assert refusal(gone) == f"{gone}: no such file or folder"
    assert refusal(long) == f"{long}: cannot be reached (File name too long)"
    assert refusal(f"{tmp_path.as_uri()}/gone.npz") == f"{tmp_path.as_uri()}/gone.npz: no such file or folder"
    assert refusal("nowhere://x/y.npz").startswith("nowhere://x/y.npz: cannot be reached (")


@pytest.mark.parametrize("local", [True, False])
def test_a_folder_is_no_file(local, tmp_path):
    assert find(str(tmp_path) if local else tmp_path.as_uri()) is None


def refusal(uri: str) -> str:
    with pytest.raises(ValueError) as refused:
        find(uri)
    return str(refused.value)


def test_sources_and_files_are_given_by_name_and_stay_as_they_are(file):
    for value in (DataSource(uri="x"), find(str(file))):
        with pytest.raises(TypeError):
            type(value)("x", "y")
        with pytest.raises(dataclasses.FrozenInstanceError):
            value.uri = "y"
