from __future__ import annotations

import random
from collections import Counter

import pytest
from optuna.samplers import GPSampler

from search.ledger.ledger import Ledger
from search.simulation.simulator import Simulation, simulate
from search.study.profiles import PROFILES
from search.study.unet_space import unet_space
from tests.made.studies import epoch_report, study_settings


@pytest.mark.parametrize("scheduler", ["asha-promotion", "asha-stopping"])
def test_under_asha_the_model_proposes_all_but_the_first_trials(scheduler, monkeypatch):
    """Few trials are complete; the others that reported count too. Ten trials are drawn at random at first, and as many
    as run beside them."""
    used: Counter[str] = Counter()
    draw = GPSampler.sample_relative

    def counted(self, study, trial, search_space):
        drawn = draw(self, study, trial, search_space)
        used["model"] += bool(drawn)
        return drawn

    monkeypatch.setattr(GPSampler, "sample_relative", counted)
    settings = study_settings(scheduler=scheduler, max_epochs=12, grace_epochs=2, patience=12)

    def world(record):
        rng = random.Random(record.number)
        best = rng.uniform(0.3, 0.8)
        for epoch in range(1, 13):
            score = best * (1 - 0.9**epoch) + rng.gauss(0, 0.01)
            yield epoch_report(epoch, score, ended="max_epochs" if epoch == 12 else None)

    ledger = Ledger.in_memory()
    space = unet_space(PROFILES["cpu"])
    simulate(Simulation(settings=settings, space=space, sampler="gp", trials=20, slots=2), world, ledger, [])
    states = Counter(record.state for record in ledger.records())
    assert states["pruned"] > 0
    assert used["model"] >= 20 - 10 - 2
