"""From a study's folder to its ledger."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from search.ledger.ledger import Ledger
from search.storage.location import FILE
from tests.made.studies import begin, epoch_report

URL = "postgresql://alice@db.example/studies"


def test_a_study_is_made_with_its_folder_and_has_the_folders_name(tmp_path):
    folder = tmp_path / "runs" / "mine"
    assert Ledger.find(folder) is None
    ledger = Ledger.create(folder)
    assert (folder / FILE).is_file()
    assert ledger.study.study_name == "mine"
    assert ledger.records() == []
    ledger.close()


def test_a_study_is_found_with_what_it_has(tmp_path, space):
    folder = tmp_path / "study"
    begin(Ledger.create(folder), space)
    for ledger in (Ledger.find(folder), Ledger.open(folder), Ledger.create(folder)):
        assert ledger is not None
        assert [record.number for record in ledger.records()] == [0]


def test_a_study_whose_folder_was_renamed_is_read_under_its_old_name(tmp_path, space):
    begin(Ledger.create(tmp_path / "study"), space)
    renamed = (tmp_path / "study").rename(tmp_path / "renamed")
    assert Ledger.open(renamed).study.study_name == "study"


def test_a_study_whose_folder_was_renamed_is_gone_on_with(tmp_path, space):
    first = Ledger.create(tmp_path / "study")
    begin(first, space)
    renamed = (tmp_path / "study").rename(tmp_path / "renamed")
    driver, reader = Ledger.create(renamed), Ledger.find(renamed)
    assert reader is not None
    assert driver.identity == reader.identity == first.identity is not None
    begin(driver, space)
    for ledger in (driver, reader, Ledger.open(renamed)):
        assert [record.number for record in ledger.records()] == [0, 1]


def test_of_a_journal_with_several_studies_everybody_takes_the_first(tmp_path, space):
    """An older version began a renamed study anew in it."""
    import optuna
    from optuna.storages import JournalStorage

    from search.storage.journal import Journal

    begin(Ledger.create(tmp_path / "study"), space)
    later = JournalStorage(Journal(tmp_path / "study" / FILE, writable=True))
    optuna.create_study(storage=later, study_name="renamed", direction="maximize")
    renamed = (tmp_path / "study").rename(tmp_path / "renamed")
    for ledger in (Ledger.create(renamed), Ledger.open(renamed)):
        assert len(ledger.records()) == 1


@pytest.mark.parametrize(("name", "value"), [("identity", 3), ("runs", "r1"), ("space", [1]), ("identity", None)])
def test_what_no_driver_writes_about_a_study_is_refused(name, value, tmp_path):
    ledger = Ledger.create(tmp_path / "study")
    ledger.study.set_user_attr(name, value)
    with pytest.raises(ValueError, match=f"study 'study': its {name} is damaged"):
        getattr(Ledger.open(tmp_path / "study"), name)


def test_what_was_opened_to_read_writes_nothing(tmp_path, space):
    begin(Ledger.create(tmp_path / "study"), space)
    before = (tmp_path / "study" / FILE).read_bytes()
    with pytest.raises(OSError, match=r"Invalid argument|Bad file descriptor"):
        Ledger.open(tmp_path / "study").settings = {"seed": 1}
    assert (tmp_path / "study" / FILE).read_bytes() == before


def test_a_reader_sees_what_the_driver_writes_later(tmp_path, space):
    driver = Ledger.create(tmp_path / "study")
    reader = Ledger.open(tmp_path / "study")
    number = begin(driver, space).number
    driver.add_epoch(number, epoch_report(1, 0.5))
    assert reader.record(number).score == 0.5


def test_a_folder_without_a_study_is_named(tmp_path):
    with pytest.raises(ValueError, match=f"^{tmp_path}: no study there \\(it has no {FILE}\\)$"):
        Ledger.open(tmp_path)
    (tmp_path / FILE).touch()
    with pytest.raises(ValueError, match=f"^{tmp_path / FILE}: holds no study$"):
        Ledger.open(tmp_path)


def test_a_study_with_a_journal_is_in_no_database(tmp_path):
    Ledger.create(tmp_path / "study")
    for begins in (Ledger.find, Ledger.create):
        with pytest.raises(ValueError, match=f"--ledger: the study in .* has its ledger in {FILE} there"):
            begins(tmp_path / "study", URL)


def test_a_folder_that_cannot_be_made_is_explained_by_the_systems_words():
    with pytest.raises(
        ValueError,
        match=r"^/proc/study: cannot write the study there \(No such file or directory\); give another",
    ):
        Ledger.create(Path("/proc/study"))


def test_a_disk_that_fails_without_a_reason_is_explained_by_its_own_words(tmp_path, monkeypatch):
    def fails(folder):
        raise OSError("the disk is gone")

    monkeypatch.setattr(Ledger, "_in_journal", fails)
    with pytest.raises(ValueError, match=r"study: cannot write the study there \(the disk is gone\); give another"):
        Ledger.create(tmp_path / "study")


def test_the_next_driver_ends_only_running_trials_whose_last_report_says_so(tmp_path, space):
    ledger = Ledger.create(tmp_path / "study")
    last = {"ended": "max_epochs"}
    reports = {
        "complete": [epoch_report(1, 0.3), epoch_report(2, 0.2, **last)],  # told with its end
        "silent": [],
        "going on": [epoch_report(1, 0.3)],
        "ended": [epoch_report(1, 0.6), epoch_report(2, 0.4, **last)],
        "diverged": [epoch_report(1, 0.5), epoch_report(2, 0.9, ended="diverged")],
        "pruned": [epoch_report(1, 0.3)],
    }
    for number, told in enumerate(reports.values()):
        begin(ledger, space)
        for report in told:
            ledger.add_epoch(number, report)
    ledger.complete(0)
    ledger.prune(5)
    records = Ledger.create(tmp_path / "study").records()
    assert [record.state for record in records] == ["complete", "running", "running", "complete", "failed", "pruned"]
    assert records[4].error == "diverged: a loss, score or gradient of epoch 2 is not finite"
    assert Ledger.open(tmp_path / "study").frozen_trials()[3].value == 0.6


def test_settings_that_are_no_set_are_refused(tmp_path):
    Ledger.create(tmp_path / "study").study.set_user_attr("settings", [1])
    with pytest.raises(ValueError, match=r"^study 'study': its settings are \[1\], not a JSON object$"):
        _ = Ledger.open(tmp_path / "study").settings


def test_a_journal_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    Ledger.create(tmp_path / "study")

    def fails(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("search.ledger.ledger.Journal", fails)
    expected = f"^{tmp_path / 'study' / FILE}: cannot be read \\(Permission denied\\)$"
    with pytest.raises(ValueError, match=expected):
        Ledger.open(tmp_path / "study")
