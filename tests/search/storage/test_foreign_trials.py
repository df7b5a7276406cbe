"""Trials that Optuna's own `ask` and `enqueue_trial` add to a study, and lines that are no entries of a journal."""

from __future__ import annotations

import logging

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend

from search.ledger.ledger import FILE, Ledger
from tests.made.studies import begin, epoch_report


@pytest.fixture
def folder(ledger, space, tmp_path):
    number = begin(ledger, space).number
    ledger.add_epoch(number, epoch_report(1, 0.5))
    ledger.complete(number)
    return tmp_path / "study"


@pytest.mark.parametrize("add", [lambda study: study.ask(), lambda study: study.enqueue_trial({"x": 1})])
def test_trials_that_no_search_made_are_left_out_with_one_warning(add, folder, caplog):
    storage = JournalStorage(JournalFileBackend(str(folder / FILE)))
    add(optuna.load_study(storage=storage, study_name="study"))
    read = Ledger.open(folder)
    with caplog.at_level(logging.WARNING):
        assert [record.number for record in read.records()] == [0]
        read.records()
    assert caplog.messages == ["study study: trials 1 were not created by a search: left out"]
    with pytest.raises(ValueError, match=r"study: trials 1 were not created by a search .* begin another study with"):
        Ledger.create(folder)


@pytest.mark.parametrize(
    ("entry", "rule"),
    [
        ("null", "not a JSON object"),
        ('{"op_code": 99, "worker_id": "w"}', "its op_code is not one of Optuna's"),
        ('{"op_code": 2, "worker_id": "w", "study_id": 0}', "has no user_attr"),
        ('{"op_code": 6, "worker_id": "w", "trial_id": 0, "state": "x", "values": null}', "its state is invalid"),
        (
            '{"op_code": 7, "worker_id": "w", "trial_id": 0, "step": 1, "intermediate_value": "x"}',
            "its intermediate_value",
        ),
        ("[" * 5000 + "]" * 5000, "nested too deeply"),
    ],
)
def test_what_is_no_entry_is_refused_with_its_line(entry, rule, folder):
    lines = len((folder / FILE).read_text().splitlines())
    with (folder / FILE).open("a") as journal:
        journal.write(f"{entry}\n")
    with pytest.raises(ValueError, match=rf"{FILE}, line {lines + 1}: damaged \(.*{rule}"):
        Ledger.open(folder)
