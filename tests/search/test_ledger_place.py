from __future__ import annotations

import pytest

from search.ledger_place import FILE, POINTER, LedgerPlace, database_url, study_folders

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
