"""Samplers that choose a complete point at once, including its conditional parameters."""

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
    """The inputs of a sampler, which is created for one proposal."""

    seed: int
    """Seed of this proposal."""
    study_seed: int
    number: int
    """Number of the trial."""
    encoding: Encoding
    """Encoding of the space."""
    max_epochs: int
    """Last epoch of a trial."""


class PointSampler(BaseSampler):
    """Base class: Optuna samples one parameter after another, `choose` returns all of them beforehand."""

    def __init__(self, draw: Draw):
        self.draw = draw
        self._point: Mapping[str, Scalar] = {}
        self._otherwise = RandomSampler(seed=draw.seed)

    def choose(self, trials: Sequence[FrozenTrial]) -> Mapping[str, Scalar]:
        """Return a point of the space, given the study's trials so far. Missing parameters are drawn at random."""
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
    """Fills the space evenly: the trial's number is its index in a scrambled Sobol sequence."""

    def choose(self, trials: Sequence[FrozenTrial]) -> Mapping[str, Scalar]:
        sequence = qmc.Sobol(len(self.draw.encoding.parameters), rng=self.draw.study_seed)
        cubes = sequence.random_base2(self.draw.number.bit_length())
        return self.draw.encoding.point(cubes[self.draw.number])
