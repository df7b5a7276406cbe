from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from reports.inputs import read_study
from search.ledger.ledger import Ledger
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from tests.made.records import check_fixed, trial_record
from tests.made.studies import begin, epoch_report, study_settings
from tests.reports.made_runs import made_facts
from trainables.data import DataSource, prepare


def test_what_is_known_of_a_study(facts):
    assert facts.states == {"complete": 2, "pruned": 1, "failed": 1, "interrupted": 1}
    assert facts.unfinished == ["1 interrupted"]
    assert facts.best.score == max(record.score for record in facts.records if record.score is not None)
    assert facts.origin == "data set tiny, split 80/10/10 with seed 0"


def test_data_that_moved_is_found_by_name(study, tiny_file, tmp_path):
    moved = shutil.copy(tiny_file, tmp_path / "moved.npz")
    assert read_study(study, str(moved)).data.name == "moved"


@pytest.mark.parametrize(("recorded", "size"), [(None, (260, 270)), ([64, 64], (64, 64))])
def test_a_study_without_a_crop_is_reported_on_whole_images(recorded, size, tmp_path):
    """Earlier versions trained on whole images, however large."""
    masks = np.random.default_rng(0).integers(3, size=(12, 260, 270)).astype(np.uint8)
    np.savez(tmp_path / "large.npz", images=80 * masks, masks=masks)
    source = DataSource(uri=str(tmp_path / "large.npz"), keep_outliers=True)
    data = prepare(source)
    assert data.crop == (256, 256)
    ledger = Ledger.create(tmp_path / "study")
    settings = study_settings(data=source.uri, keep_outliers=True, fingerprint=data.fingerprint, crop=recorded)
    ledger.settings = settings.to_dict()
    ledger.add_epoch(begin(ledger, unet_space(PROFILES["cpu"])).number, epoch_report(1, 0.5))
    found = read_study(tmp_path / "study", None).data
    assert (found.crop, found.whole) == (size, recorded is None)


def test_a_study_may_move_as_a_whole(study, tmp_path):
    moved = read_study(study.rename(tmp_path / "moved"), None)
    assert Path(moved.settings.checkpoint_root(moved.folder)) == tmp_path / "moved" / "checkpoints"


def test_other_data_is_refused(study, tmp_path):
    pairs = np.ones((20, 2, 16, 24), np.uint8)
    np.savez(tmp_path / "other.npz", training_set=pairs)
    told = r"is not the data of this study \(the data's content changed\); name the right file with --data$"
    with pytest.raises(ValueError, match=rf"other\.npz: {told}"):
        read_study(study, str(tmp_path / "other.npz"))


def test_nothing_to_report_is_said(tmp_path):
    with pytest.raises(ValueError, match="no study there"):
        read_study(tmp_path, None)
    Ledger.create(tmp_path / "empty")
    with pytest.raises(ValueError, match="no trial of this study has a score yet"):
        read_study(tmp_path / "empty", None)


def test_the_best_is_the_first_of_the_highest_score_and_every_state_is_counted(tmp_path):
    states = {0: "failed", 1: "complete", 2: "pruned", 3: "complete", 4: "pruned"}
    scores = {0: None, 1: 0.4, 2: 0.6, 3: 0.6, 4: 0.5}
    records = [trial_record(number, [scores[number]], state=state) for number, state in states.items()]
    facts = made_facts(tmp_path, records)
    assert facts.best is records[2]
    assert facts.states == {"failed": 1, "complete": 2, "pruned": 2}
    assert facts.output == tmp_path / "report"
    check_fixed(facts)


@pytest.mark.parametrize(
    ("synthetic", "origin"),
    [
        (True, "synthetic data set mars, split 80/10/10 with seed 6"),
        (False, "data set mars, split 80/10/10 with seed 6"),
    ],
)
def test_made_up_data_is_called_so(synthetic, origin, tmp_path):
    data = SimpleNamespace(report=SimpleNamespace(synthetic=synthetic, split_name="split 80/10/10"), name="mars")
    assert made_facts(tmp_path, [], data, seed=6).origin == origin


def test_the_space_is_the_one_of_the_settings(tmp_path):
    assert [parameter.name for parameter in made_facts(tmp_path, [], space="systems").space.parameters] == [
        "system",
        "training.seed",
    ]


def test_every_trial_is_read_with_the_studys_settings_and_its_data(study, original, tiny_file):
    facts = read_study(study, None)
    assert facts.folder == study
    assert [record.number for record in facts.records] == [0, 1, 2, 3, 4]
    assert facts.settings.data == str(tiny_file)
    assert facts.data.source.uri == str(tiny_file)
    assert facts.data.source.seed == facts.settings.seed == 0
    assert facts.data.fingerprint == facts.settings.fingerprint


def test_the_trials_that_the_search_began_with_are_known(study, monkeypatch):
    monkeypatch.setattr(Ledger, "first", {0: {}, 3: {}, 9: {}})  # of 9 there is no trial yet
    assert read_study(study, None).begun_with == (0, 3)


def test_the_data_is_split_with_the_studys_seed(tiny_file, tmp_path):
    data = prepare(DataSource(uri=str(tiny_file), seed=6))
    ledger = Ledger.create(tmp_path / "study")
    settings = study_settings(data=str(tiny_file), seed=6, fingerprint=data.fingerprint)
    ledger.settings = dataclasses.asdict(settings)
    ledger.add_epoch(begin(ledger, unet_space(PROFILES["cpu"])).number, epoch_report(1, 0.3))
    facts = read_study(tmp_path / "study", None)
    assert facts.data.source.seed == 6
    assert facts.data.split["test"].tolist() == data.split["test"].tolist()
    assert facts.origin == "data set tiny, split 80/10/10 with seed 6"


def test_the_data_is_cleaned_as_the_study_s(tiny_file, tmp_path):
    source = DataSource(uri=str(tiny_file), keep_outliers=True, drop_list=(2, 5))
    settings = study_settings(
        data=str(tiny_file), keep_outliers=True, drop_list=[2, 5], fingerprint=prepare(source).fingerprint
    )
    ledger = Ledger.create(tmp_path)
    ledger.settings = dataclasses.asdict(settings)
    begin(ledger, unet_space(PROFILES["cpu"]))
    ledger.add_epoch(0, epoch_report(1, 0.3))
    facts = read_study(tmp_path, None)
    assert facts.data.source == source
    assert len(facts.data.images) == 22


def test_a_running_trial_with_a_score_is_something_to_report(tmp_path):
    space = unet_space(PROFILES["cpu"])
    ledger = Ledger.create(tmp_path / "study")
    ledger.add_epoch(begin(ledger, space).number, epoch_report(1, 0.3))
    with pytest.raises(ValueError, match="the study was made by another version, its settings lack data"):
        read_study(tmp_path / "study", None)  # the next thing that it asks for


def test_stores_of_the_command_line_are_remembered_and_those_of_the_ledger_are_not(study, tiny_file, monkeypatch):
    named = []
    monkeypatch.setattr("reports.inputs.name_store", named.append)
    read_study(study, None)
    assert named == []
    read_study(study, str(tiny_file), str(study / "checkpoints"))
    assert named == [str(tiny_file), str((study / "checkpoints").resolve())]


def test_a_trial_is_found_by_its_number_also_where_others_were_left_out(tmp_path):
    """Trials that other programs added to the ledger are not among the records, so numbers are no positions."""
    records = [trial_record(number, [score]) for number, score in ((0, 0.4), (3, 0.6), (5, 0.5))]
    facts = made_facts(tmp_path, records)
    assert [facts.record(number) for number in (5, 3, 0)] == [records[2], records[1], records[0]]
