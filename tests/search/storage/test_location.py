from __future__ import annotations

from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from search.storage.location import FILE, POINTER, LedgerPlace, database_url, has_study, refuse_links, study_folders

URL = "postgresql://alice@db.example/studies"


@pytest.mark.parametrize(
    "text",
    [
        URL,
        "postgresql://db.example/studies",
        "postgresql://alice@db.example:5433/studies?sslmode=verify-full",
        "postgresql:///studies?host=/run/postgresql",
    ],
)
def test_a_url_is_taken_as_it_is(text):
    assert database_url(text) == text


def test_the_other_name_of_the_scheme_is_understood():
    assert database_url("postgres://alice@db.example/studies") == URL


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("sqlite:///study.db", "is not postgresql://HOST/DATABASE"),
        ("mysql://db.example/studies", "is not postgresql://HOST/DATABASE"),
        ("postgresql+psycopg2://db.example/studies", "is not postgresql://HOST/DATABASE"),
        ("postgresql://db.example:port/studies", "is not postgresql://HOST/DATABASE"),
        ("postgresql://db.example/{studies}", "is not postgresql://HOST/DATABASE"),
        ("runs", "is not postgresql://HOST/DATABASE"),
        ("postgresql://db.example", "names no database"),
        ("postgresql://db.example/", "names no database"),
    ],
)
def test_what_is_no_database_is_refused_with_the_rule(text, rule):
    with pytest.raises(ValueError, match=rule):
        database_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://alice:hunter2@db.example/studies",
        "postgresql://alice:hunter2/#@db.example/studies",
        "mysql://alice:hunter2@db.example/studies",
        "postgresql://alice@db.example/studies?password=hunter2",
        "postgresql://alice@db.example/studies?sslmode=require&sslpassword=hunter2",
    ],
)
def test_a_password_is_refused_and_not_repeated(text):
    with pytest.raises(ValueError, match=r"leave the password out.*PGPASSWORD.*pgpass") as refused:
        database_url(text)
    assert "hunter2" not in str(refused.value)


def test_the_folder_remembers_the_database(tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    assert LedgerPlace.of(study).url is None
    place = LedgerPlace.of(study, URL)
    assert not place.known
    place.record()
    assert LedgerPlace.of(study) == place
    assert LedgerPlace.of(study).known
    renamed = study.rename(tmp_path / "renamed")
    assert LedgerPlace.of(renamed).study == "study"


def test_the_same_database_is_known_by_another_user_and_in_other_words(tmp_path):
    LedgerPlace.of(tmp_path, URL).record()
    bobs = "postgresql://bob@DB.example:5432/studies?sslmode=require"
    assert LedgerPlace.of(tmp_path, bobs).url == bobs
    assert LedgerPlace.of(tmp_path).url == URL


@pytest.mark.parametrize("other", ["postgresql://other.example/studies", "postgresql://db.example/other", URL + "2"])
def test_another_place_for_a_study_that_has_one_is_refused(other, tmp_path):
    LedgerPlace.of(tmp_path, URL).record()
    with pytest.raises(ValueError, match=f"--ledger {other}: the study in .* has its ledger in {URL}: leave --ledger"):
        LedgerPlace.of(tmp_path, other)


def test_a_database_for_a_study_with_a_journal_is_refused(tmp_path):
    (tmp_path / FILE).touch()
    with pytest.raises(ValueError, match=f"has its ledger in {FILE} there: leave --ledger out, or give another --name"):
        LedgerPlace.of(tmp_path, URL)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"url": "sqlite:///x", "study": "x"}', '{"url": 3, "study": "x"}'])
def test_a_damaged_pointer_is_named(text, tmp_path):
    (tmp_path / POINTER).write_text(text)
    with pytest.raises(ValueError, match=f"{POINTER}: is not"):
        LedgerPlace.of(tmp_path)


def test_studies_in_both_places_are_found(tmp_path):
    for name, file in (("a", POINTER), ("b", FILE), ("c", "something else")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    assert study_folders(tmp_path) == [tmp_path / "a", tmp_path / "b"]


def test_a_study_without_a_ledger_has_none_that_is_known(tmp_path):
    for place in (LedgerPlace.of(tmp_path / "s"), LedgerPlace.of(tmp_path / "s", URL)):
        assert (place.folder, place.study, place.known) == (tmp_path / "s", "s", False)
    (tmp_path / FILE).touch()
    assert LedgerPlace.of(tmp_path).known
    assert LedgerPlace.of(tmp_path) == LedgerPlace(tmp_path, None, tmp_path.name)
    with pytest.raises(FrozenInstanceError):
        LedgerPlace.of(tmp_path).url = URL


def test_the_pointer_is_readable_written_whole_and_only_once(tmp_path):
    LedgerPlace(tmp_path, URL, "s").record()
    text = (tmp_path / POINTER).read_text()
    assert text == f'{{\n  "url": "{URL}",\n  "study": "s"\n}}\n'
    LedgerPlace(tmp_path, "postgresql://bob@db.example/studies", "other").record()
    assert (tmp_path / POINTER).read_text() == text
    assert [path.name for path in tmp_path.iterdir()] == [POINTER]


def test_a_pointer_is_replaced_in_one_step(tmp_path, monkeypatch):
    def fails(self, text, encoding):
        self.open("w").write(text[:5])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", fails)
    with pytest.raises(OSError, match="disk full"):
        LedgerPlace(tmp_path, URL, "s").record()
    assert not (tmp_path / POINTER).exists()


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("postgresql:///studies", "postgresql://localhost/studies", True),
        ("postgresql:///studies", "postgresql://localhost:5432/studies", True),
        ("postgresql:///studies?host=db.example", "postgresql://db.example/studies", True),
        ("postgresql://db.example/studies?port=5433", "postgresql://db.example:5433/studies", True),
        ("postgresql://db.example/my%20studies", "postgres://db.example/my%20studies?sslmode=require", True),
        ("postgresql://db.example/studie%73", "postgresql://db.example/studies", True),
        ("postgresql://db.example:5432/studies", "postgresql://db.example:5433/studies", False),
        ("postgresql://db.example/studies", "postgresql://db.example/studies?port=5433", False),
        ("postgresql:///studies?host=a", "postgresql:///studies?host=b", False),
        ("postgresql://db.example/studies", "postgresql://db.example/Studies", False),
    ],
)
def test_host_port_and_name_tell_databases_apart(one, other, same, tmp_path):
    LedgerPlace(tmp_path, one, "s").record()
    if same:
        assert LedgerPlace.of(tmp_path, database_url(other)).url == database_url(other)
    else:
        with pytest.raises(ValueError, match=f"if that database has moved, write its new URL into {tmp_path}/"):
            LedgerPlace.of(tmp_path, other)


def test_a_folder_with_a_pointer_keeps_its_studys_name_and_may_have_a_journal_too(tmp_path):
    LedgerPlace(tmp_path, URL, "first name").record()
    (tmp_path / FILE).touch()
    assert LedgerPlace.of(tmp_path, URL) == LedgerPlace(tmp_path, URL, "first name")


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("postgresql://db.example:0/studies", "is not postgresql://HOST/DATABASE"),
        ("postgresql://db.example:65536/studies", "is not postgresql://HOST/DATABASE"),
        ("postgresql://db.example/my studies", "is not postgresql://HOST/DATABASE"),
        ("postgresql:/db.example/studies", "is not postgresql://HOST/DATABASE"),
        ("postgresql://db.example/%", None),
        ("postgresql://db.example:1/s", None),
        ("postgresql://db.example:65535/s", None),
        ("postgresql://alice@db.example/s?passfile=/home/alice/.pgpass", None),
    ],
)
def test_the_border_of_what_is_a_url(text, rule):
    if rule is None:
        assert database_url(text) == text
    else:
        with pytest.raises(
            ValueError, match=f"^'{text}' {rule} .*; without --ledger the ledger is a file in the study's"
        ):
            database_url(text)


@pytest.mark.parametrize("option", ["?password=hunter2", "?a=b&sslpassword=hunter2", "?PASSWORD=hunter2"])
def test_a_password_among_the_options_is_found_in_any_place_and_case(option):
    with pytest.raises(ValueError, match="leave the password out"):
        database_url(f"postgresql://db.example/studies{option}")


def test_a_pointer_that_cannot_be_read_says_what_it_should_be(tmp_path):
    (tmp_path / POINTER).mkdir()
    with pytest.raises(
        ValueError, match=rf'^{tmp_path / POINTER}: is not {{"url": "postgresql://.*", "study": "NAME"}} '
    ):
        LedgerPlace.of(tmp_path)


def test_studies_are_found_one_folder_down_only(tmp_path):
    for name in ("b", "a", "c/deep"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / FILE).touch()
    (tmp_path / FILE).touch()
    assert study_folders(tmp_path) == [tmp_path / "a", tmp_path / "b"]


@pytest.mark.parametrize("name", [FILE, POINTER])
def test_a_folder_has_a_study_once_there_is_a_ledger_or_what_names_one(name, tmp_path):
    assert not has_study(tmp_path)
    (tmp_path / name).touch()
    assert has_study(tmp_path)


def test_a_name_that_no_folder_can_have_names_no_study(tmp_path):
    assert not has_study(tmp_path / ("x" * 300))


def test_links_in_a_study_are_refused_and_files_and_folders_are_not(tmp_path):
    refuse_links(tmp_path / "none")
    (tmp_path / "trials" / "0001").mkdir(parents=True)
    (tmp_path / "notes.txt").touch()
    refuse_links(tmp_path)
    for place in ("checkpoints", "trials/0000", "trials/0001/events"):
        (tmp_path / place).symlink_to(tmp_path.parent)
        with pytest.raises(ValueError, match=f"^{tmp_path / place}: is a symbolic link, .* remove it$"):
            refuse_links(tmp_path)
        (tmp_path / place).unlink()
