"""Credentials go only where the user has pointed: what a study's folder names is not followed by itself."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from search.cli import local_studies
from search.cli.options.search_parser import parse
from search.ledger import named_places
from search.ledger.ledger import Ledger
from search.ledger.named_places import followed, name_database, name_store, reachable_place
from search.storage.location import LedgerPlace

URL = "postgresql://alice@db.example/studies"
MINIO = "s3://bucket/mars.npz?scheme=http&endpoint_override=minio.example:9000"


@pytest.fixture
def connected(monkeypatch):
    """The URLs of the databases that somebody tried to connect to; nothing is."""
    urls = []

    def connect(url):
        urls.append(url)
        raise ImportError("no connections in this test")

    monkeypatch.setattr("search.storage.postgres_storage.engine", connect)
    return urls


@pytest.fixture
def theirs(tmp_path):
    """A study of somebody else's."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    LedgerPlace(folder, URL, "theirs").record()
    return folder


def test_a_database_that_only_the_folder_names_is_not_connected_to(theirs, connected):
    expected = f"^{theirs}: its ledger is in a database, {URL}, that you have not named yet: .* --ledger {URL}$"
    for read in (Ledger.open, Ledger.find, Ledger.create):
        with pytest.raises(ValueError, match=expected):
            read(theirs)
    assert connected == []


def test_a_list_of_studies_connects_to_none_that_the_user_did_not_name(theirs, connected, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")
    ask = ["--storage", str(theirs.parent), "--status"]
    assert local_studies.run_study_command(parse(ask)) == 0
    assert "that you have not named yet" in capsys.readouterr().out
    assert connected == []
    assert local_studies.run_study_command(parse([*ask, "--ledger", URL])) == 0
    assert connected == [URL]


@pytest.mark.parametrize("named", [URL, "postgresql://bob@db.example:5432/studies?sslmode=require"])
def test_one_that_the_user_named_is_reached_by_what_he_typed(named, theirs):
    assert reachable_place(theirs, named).url == named
    assert reachable_place(theirs).url == named
    assert reachable_place(theirs).study == "theirs"


def test_options_that_lead_elsewhere_are_those_of_the_user(tmp_path):
    """`host` as an option counts more than the host that stands first, for libpq."""
    (tmp_path / "study").mkdir()
    LedgerPlace(tmp_path / "study", f"{URL}?host=evil.example", "study").record()
    name_database(URL)
    assert reachable_place(tmp_path / "study").url == URL


def test_another_database_of_the_same_host_is_another(tmp_path):
    (tmp_path / "study").mkdir()
    LedgerPlace(tmp_path / "study", "postgresql://db.example:5433/studies", "study").record()
    name_database(URL)
    with pytest.raises(ValueError, match="that you have not named yet"):
        reachable_place(tmp_path / "study")


def test_the_notes_are_for_the_user_alone(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for _ in range(2):
        name_database(URL)
        name_store(MINIO)
    path = tmp_path / "config" / "mars-search" / "named"
    assert path.read_text() == f"{URL}\ns3://?scheme=http&endpoint_override=minio.example:9000\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_they_hold_for_later_processes(theirs, monkeypatch):
    name_database(URL)
    monkeypatch.setattr(named_places, "_named_here", [])
    assert reachable_place(theirs).url == URL


def test_without_a_place_for_notes_they_hold_for_this_process(theirs, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/proc/config")
    name_database(URL)
    assert reachable_place(theirs).url == URL


def test_by_default_they_are_among_the_users_settings(monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    name_database(URL)
    assert (tmp_path / ".config" / "mars-search" / "named").is_file()


@pytest.mark.parametrize("uri", ["sample", "data/mars.npz", "/data/mars.npz", "s3://bucket/x.npz", "gs://bucket/x.npz"])
def test_what_asks_no_other_host_is_followed(uri, tmp_path):
    assert followed(uri, tmp_path, "--data") == uri


@pytest.mark.parametrize(
    "uri", [MINIO, "s3://bucket/x?region=eu", "hdfs://name.example:9000/x", "abfs://files@account.example/x"]
)
def test_a_store_that_only_a_ledger_names_is_not_followed(uri, tmp_path):
    with pytest.raises(ValueError, match=r"names .*, a store that you have not named yet: .* with --data '"):
        followed(uri, tmp_path, "--data")
    name_store(uri)
    assert followed(uri, tmp_path, "--data") == uri


def test_the_bucket_and_key_may_be_others_and_the_options_may_not(tmp_path):
    name_store(MINIO)
    assert followed(MINIO.replace("bucket/mars", "other/moon"), tmp_path, "--data")
    with pytest.raises(ValueError, match="not named yet"):
        followed(MINIO.replace("minio.example", "evil.example"), tmp_path, "--data")
    name_store("hdfs://name.example/x")
    with pytest.raises(ValueError, match="not named yet"):
        followed("hdfs://evil.example/x", tmp_path, "--data")


def test_keys_of_somebody_else_are_not_used_either(tmp_path):
    with pytest.raises(ValueError, match="leave the keys out") as refused:
        followed("s3://KEY:hunter2@bucket/x", tmp_path, "--data")
    assert "hunter2" not in str(refused.value)
