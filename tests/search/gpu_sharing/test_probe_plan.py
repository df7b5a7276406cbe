from __future__ import annotations

import itertools
from types import SimpleNamespace

import pytest

from search.gpu_sharing.probe_plan import MAX_PROBE_CONFIGS, probe_plan
from search.study.systems import SYSTEMS
from tests.made.studies import begin, study_settings
from trainables.config import TrialConfig
from trainables.data import DataSource, prepare
from trainables.profiling.footprint import footprint


@pytest.fixture
def data():
    return prepare(DataSource(uri="sample"))


def size(candidate, data, footprint=footprint):
    config = TrialConfig.from_flat(candidate.config)
    return footprint(config, data).bytes(config.training.batch_size)


LONG = [pytest.mark.slow, pytest.mark.long]


def reckoned(config, data):
    """A footprint that takes no time, of the large networks; that of the small ones is the real one."""
    model = config.model
    heavier = (model.block == "residual") + (model.skip == "attention") + (model.bottleneck == "aspp")
    heavier += (model.deep_supervision > 0) + (model.background != "none") + (model.dropout > 0)
    activations = model.width * model.depth * (4 + heavier)
    return SimpleNamespace(bytes=lambda batch: model.width**2 * 4**model.depth + batch * activations)


@pytest.mark.parametrize(
    ("changes", "footprint"),
    [
        ({"profile": "gpu"}, reckoned),
        ({"profile": "gpu", "space": "wide"}, reckoned),
        ({"profile": "cpu"}, footprint),
        pytest.param({"profile": "gpu"}, footprint, marks=LONG),
        pytest.param({"profile": "gpu", "space": "wide"}, footprint, marks=LONG),
    ],
)
def test_a_ladder_from_the_lightest_to_the_heaviest_of_the_space(changes, footprint, data, monkeypatch):
    monkeypatch.setattr("search.gpu_sharing.probe_plan.footprint", footprint)
    settings = study_settings(**changes)
    found = probe_plan(settings, data)
    assert len(found.each()) <= MAX_PROBE_CONFIGS
    sizes = [size(candidate, data, footprint) for candidate in found.ladder]
    assert sizes == sorted(sizes)
    assert sizes[0] < size(found.middle, data, footprint) < sizes[-1]
    by_name = {parameter.name: parameter.choices for parameter in settings.search_space().parameters}
    for end, candidate in ((min, found.ladder[0]), (max, found.ladder[-1])):
        for name in ("model.depth", "model.width", "training.batch_size"):
            assert candidate.config[name] == end(by_name[name])
    for candidate in found.each():
        assert candidate.config.items() >= settings.fixed_config().items()


def test_every_rung_says_what_it_changes(data):
    ladder = probe_plan(study_settings(), data).ladder
    for before, after in itertools.pairwise(ladder):
        (changed,) = {key for key, value in before.config.items() if after.config[key] != value}
        assert after.label == f"+ {changed.partition('.')[2]} {after.config[changed]}"


def test_what_matters_least_shares_the_last_rung_where_there_are_too_many(data, monkeypatch):
    whole = probe_plan(study_settings(), data)
    monkeypatch.setattr("search.gpu_sharing.probe_plan.MAX_PROBE_CONFIGS", 6)
    few = probe_plan(study_settings(), data)
    assert len(few.each()) == 6
    assert few.ladder[:-1] == whole.ladder[:4]
    assert few.ladder[-1].config == whole.ladder[-1].config


def test_hardly_a_point_of_the_space_is_heavier_than_the_ladders_end(data, space, ledger, settings):
    heaviest = size(probe_plan(settings, data).ladder[-1], data)
    for _ in range(6):
        config = TrialConfig.from_flat(begin(ledger, space).config)
        assert footprint(config, data).bytes(config.training.batch_size) <= 1.01 * heaviest


def test_of_many_systems_some_are_taken_from_the_lightest_to_the_heaviest(data):
    names = [name for name, system in SYSTEMS.items() if system.report == "report-a"]
    settings = study_settings(space="systems", systems=names, overrides={"model.width": 4})
    found = probe_plan(settings, data)
    assert len(found.each()) == len(found.ladder) == MAX_PROBE_CONFIGS < len(names)
    sizes = [size(candidate, data) for candidate in found.ladder]
    assert sizes == sorted(sizes)
    assert all(candidate.config["model.width"] == 4 for candidate in found.each())


def test_few_systems_are_all_taken_once(data):
    found = probe_plan(study_settings(space="systems", systems=["b-unet3", "b-unet2"]), data)
    assert [candidate.label for candidate in found.each()] == ["b-unet2", "b-unet3"]
