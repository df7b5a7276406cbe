"""The samplers that propose configurations."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import BaseSampler, GPSampler, RandomSampler, TPESampler

from search.encoding import Encoding
from search.forest import ForestSampler


def _tpe(seed: int, encoding: Encoding, max_epochs: int) -> BaseSampler:
    # Without multivariate and group, TPE samples a conditional space one parameter at a time. The constant liar keeps
    # trials that run side by side apart.
    return TPESampler(seed=seed, multivariate=True, group=True, constant_liar=True)


def _random(seed: int, encoding: Encoding, max_epochs: int) -> BaseSampler:
    return RandomSampler(seed=seed)


def _gp(seed: int, encoding: Encoding, max_epochs: int) -> BaseSampler:
    # Its model spans the parameters that every trial has; conditional ones are drawn independently.
    return GPSampler(seed=seed)


SAMPLERS: dict[str, Callable[[int, Encoding, int], BaseSampler]] = {
    "forest": ForestSampler,
    "tpe": _tpe,
    "gp": _gp,
    "random": _random,
}
"""Each makes a sampler from a seed, the space's encoding, and the epochs of a whole trial."""


def sampler_for(
    name: str, seed: int, number: int, attempt: int = 0, *, encoding: Encoding, max_epochs: int
) -> BaseSampler:
    """The sampler for one trial, seeded by (study seed, trial number), and by the attempt behind the first.

    A sampler a trial makes a suggestion a function of the ledger and the trial's number: a search that goes on after
    an interruption never repeats the random draws of its beginning.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # multivariate, group and constant_liar: pinned and tested
        entropy = (seed, number, attempt) if attempt else (seed, number)
        return SAMPLERS[name](int(np.random.SeedSequence(entropy).generate_state(1)[0]), encoding, max_epochs)
