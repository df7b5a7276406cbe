"""The samplers that propose configurations, by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

# The command line only lists the names: a sampler's own imports run when one is created.
if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

    from search.sampling.encoding import Encoding
    from search.sampling.point_sampler import Draw


def _tpe(draw: Draw) -> BaseSampler:
    from optuna.samplers import TPESampler

    # Without multivariate and group, TPE samples a conditional space one parameter at a time. The constant liar keeps
    # concurrent trials apart.
    return TPESampler(seed=draw.seed, multivariate=True, group=True, constant_liar=True)


def _random(draw: Draw) -> BaseSampler:
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=draw.seed)


def _gp(draw: Draw) -> BaseSampler:
    from optuna.samplers import GPSampler

    # Its model covers the parameters that every trial has; conditional ones are sampled independently.
    return GPSampler(seed=draw.seed)


DESIGN = 10
"""Number of trials that fill the space before a model proposes."""


def _forest(draw: Draw) -> BaseSampler:
    from search.sampling.forest import ForestSampler
    from search.sampling.point_sampler import SobolSampler

    return SobolSampler(draw) if draw.number < DESIGN else ForestSampler(draw)


MIXTURE = (_forest, _forest, _tpe, _forest, _random)


def _mixture(draw: Draw) -> BaseSampler:
    # One model may find what another one misses.
    return _forest(draw) if draw.number < DESIGN else MIXTURE[draw.number % len(MIXTURE)](draw)


SAMPLERS: dict[str, Callable[[Draw], BaseSampler]] = {
    "forest": _forest,
    "mixture": _mixture,
    "tpe": _tpe,
    "gp": _gp,
    "random": _random,
}
COMPLETE_ONLY = frozenset({"gp"})
"""Samplers that learn from complete trials only. ASHA lets few trials complete, so they are shown the pruned ones as
complete (see `history.as_complete`)."""


def sampler_for(
    name: str, seed: int, number: int, attempt: int = 0, *, encoding: Encoding, max_epochs: int
) -> BaseSampler:
    """Return the sampler for one trial, seeded by (study seed, trial number), and by the attempt after the first.

    With one sampler per trial, a suggestion is a function of the ledger and the trial's number: a search that continues
    after an interruption never repeats its first random draws.
    """
    import numpy as np
    from optuna.exceptions import ExperimentalWarning

    from search.sampling.point_sampler import Draw

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)  # multivariate, group and constant_liar: pinned and tested
        entropy = (seed, number, attempt) if attempt else (seed, number)
        own_seed = int(np.random.SeedSequence(entropy).generate_state(1)[0])
        return SAMPLERS[name](
            Draw(seed=own_seed, study_seed=seed, number=number, encoding=encoding, max_epochs=max_epochs)
        )
