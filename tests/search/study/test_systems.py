from __future__ import annotations

import optuna
import pytest

from search.sampling.proposer import Proposer
from search.study.profiles import PROFILES
from search.study.systems import REPORTS, SYSTEMS, choose_systems, runs_of, system_points
from search.study.unet_space import unet_space
from tests.made.studies import study_settings
from trainables.config import TrialConfig

ROWS_A = {
    "a-focal": 39.51,
    "a-dice": 42.98,
    "a-ce": 43.89,
    "a-ce-ignoring-sgd": 62.09,
    "a-background": 63.66,
    "a-ce-ignoring": 64.39,
}
ROWS_B = {"b-unet2": 43.16, "b-unet3": 52.26, "b-aspp": 53.00, "b-attention": 54.87, "b-finetuned": 65.62}


def test_every_row_of_both_tables_is_there_in_order_with_its_number():
    rows = [system for system in SYSTEMS.values() if system.varies is None]
    assert {system.name: system.published["validation"] for system in rows if system.report == "report-a"} == ROWS_A
    assert {system.name: system.published["local test"] for system in rows if system.report == "report-b"} == ROWS_B
    assert SYSTEMS["b-attention"].published["leaderboard"] == 53.50


def test_a_variation_differs_from_the_row_it_varies_and_belongs_to_its_report():
    for system in SYSTEMS.values():
        if system.varies is not None:
            row = SYSTEMS[system.varies]
            assert row.varies is None
            assert row.report == system.report
            assert TrialConfig.from_flat(row.config) != TrialConfig.from_flat(system.config)


def test_report_a_has_the_sizes_that_it_states():
    config = TrialConfig.from_flat(SYSTEMS["a-ce-ignoring"].config)
    assert [config.model.width * 2**stage for stage in range(config.model.depth + 1)] == [32, 64, 128, 256, 512]
    assert config.augmentation.name == "hflip"
    assert not config.loss.learn_ignored
    assert TrialConfig.from_flat(SYSTEMS["a-ce"].config).loss.learn_ignored


def test_names_are_chosen_by_report_by_name_and_all_at_once():
    assert choose_systems("all") == tuple(SYSTEMS)
    assert choose_systems("b-unet3,a-ce") == ("a-ce", "b-unet3")
    assert {SYSTEMS[name].report for name in choose_systems("report-b")} == {"report-b"}
    assert set(choose_systems("report-a,report-b")) == set(SYSTEMS)
    with pytest.raises(ValueError, match="unknown system 'magic': must be one of all, report-a"):
        choose_systems("a-ce,magic")
    assert set(REPORTS) == {system.report for system in SYSTEMS.values()}


def test_more_seeds_only_add_runs_behind():
    one, two = (runs_of(("a-ce", "b-unet3"), seeds=seeds, first_seed=5) for seeds in (1, 2))
    assert two[: len(one)] == one
    assert two[-1] == {"system": "b-unet3", "training.seed": 6}


def test_the_runs_of_a_study_are_the_systems_with_its_settings_and_overrides(ledger):
    settings = study_settings(space="systems", systems=["a-ce", "b-finetuned"], overrides={"model.width": 4})
    ledger.enqueue(runs_of(settings.systems, seeds=2, first_seed=7))
    proposer = Proposer(ledger, settings.search_space(), settings, sampler="tpe")
    for number in range(4):
        ledger.begin(proposer.propose(number))
    configs = [TrialConfig.from_flat(record.config) for record in ledger.records()]
    assert [config.training.seed for config in configs] == [7, 7, 8, 8]
    assert [config.loss.learn_ignored for config in configs] == [True, True, True, True]
    assert [config.second_stage.name for config in configs] == ["none", "frozen_encoder"] * 2
    assert {config.model.width for config in configs} == {4}
    assert {config.training.max_epochs for config in configs} == {settings.max_epochs}
    assert ledger.record(1).params == {"system": "b-finetuned", "training.seed": 7}


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
@pytest.mark.parametrize("wide", [False, True], ids=["default", "wide"])
def test_a_search_can_start_from_the_systems(profile, wide):
    space = unet_space(profile, wide=wide)
    points = system_points(space)
    assert len(points) >= 7  # two rows may be the same point where the space has no choice that tells them apart
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    for point in points:
        study.enqueue_trial(point)
    for point in points:
        trial = study.ask()
        TrialConfig.from_flat(space.suggest(trial))
        assert point.items() <= trial.params.items()
