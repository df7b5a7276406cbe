from __future__ import annotations

import dataclasses

import pytest

from search.settings import StudySettings
from trainables.config import TrialConfig


def test_a_study_goes_on_under_the_settings_it_recorded(settings):
    recorded = dataclasses.asdict(settings) | {"data": "the same data elsewhere"}
    settings.check_same(recorded, "s")


def test_other_settings_are_refused_by_name_and_value(settings):
    recorded = dataclasses.asdict(settings) | {"seed": 4, "max_epochs": 5}
    with pytest.raises(
        ValueError, match=r"'s' exists with other settings \(seed was 4, is now 3; max_epochs was 5, is now 9\)"
    ):
        settings.check_same(recorded, "s")


def test_checkpoints_move_with_their_study(settings, tmp_path):
    assert settings.checkpoint_root(tmp_path / "s") == str(tmp_path / "s" / "checkpoints")
    remote = dataclasses.replace(settings, checkpoints="s3://bucket/s/checkpoints")
    assert remote.checkpoint_root(tmp_path) == "s3://bucket/s/checkpoints"


def test_the_fixed_part_is_a_valid_configuration(settings):
    config = TrialConfig.from_flat(dataclasses.replace(settings, ema_decay=0.9).fixed_config())
    assert (config.training.max_epochs, config.training.seed, config.training.ema_decay) == (9, 3, 0.9)
    assert "training.ema_decay" not in settings.fixed_config()


def test_what_another_version_recorded(settings, tmp_path):
    recorded = dataclasses.asdict(settings)
    assert StudySettings.recorded(recorded | {"former": 1}, tmp_path) == settings
    del recorded["judge"], recorded["asha"]
    with pytest.raises(ValueError, match=r"made by another version, its settings lack asha, judge"):
        StudySettings.recorded(recorded, tmp_path)
