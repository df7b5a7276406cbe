"""Samplers that choose a whole point at once, with its conditions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import Study
from optuna.trial import FrozenTrial
from scipy.stats import qmc

from search.sampling.encoding import Encoding
from search.study.space import Scalar


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What a sampler is made for: one proposal."""

    seed: int
    """Of this proposal's own randomness."""
    study_seed: int
    number: int
    """Of the trial."""
    encoding: Encoding
    """Of the space."""
    max_epochs: int
    """Where a trial ends."""


class PointSampler(BaseSampler):
    """Optuna asks for one parameter after the other: `choose` says all of them beforehand."""

    def __init__(self, draw: Draw):
        self.draw = draw
        self._point: Mapping[str, Scalar] = {}
        self._otherwise = RandomSampler(seed=draw.seed)

    def choose(self, trials: Sequence[FrozenTrial]) -> Mapping[str, Scalar]:
        """A point of the space, from the study's trials so far. What it leaves out is drawn at random."""
        raise NotImplementedError

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._point = self.choose(study.get_trials(deepcopy=False))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return {}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return {}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        if param_name in self._point:
            return self._point[param_name]
        return self._otherwise.sample_independent(study, trial, param_name, param_distribution)


class SobolSampler(PointSampler):
    """Fills the space evenly: the trial's number is its place in a scrambled Sobol sequence."""

    def choose(self, trials: Sequence[FrozenTrial]) -> Mapping[str, Scalar]:
        sequence = qmc.Sobol(len(self.draw.encoding.parameters), rng=self.draw.study_seed)
        cubes = sequence.random_base2(self.draw.number.bit_length())
        return self.draw.encoding.point(cubes[self.draw.number])
