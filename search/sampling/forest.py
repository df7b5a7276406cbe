"""A sampler that models what a configuration scores at the end: a forest over (configuration, epoch).

After SMAC (Hutter, Hoos, Leyton-Brown, "Sequential Model-Based Optimization for General Algorithm Configuration",
2011): random and neighbouring points are candidates, and the one with the largest expected improvement is proposed. A
forest takes categories and conditions as they are. That the epoch is one of its features lets every trial teach it,
also those of a few epochs only, what a training to the end would bring.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from optuna.trial import FrozenTrial
from scipy import stats

from search.sampling.point_sampler import Draw, PointSampler
from search.study.space import Scalar

TREES = 24
RANDOM, NEAR, PARENTS = 300, 300, 6
"""Candidates: random points, neighbours, and the best trials whose neighbours those are."""

BEST_TOLD, NEWEST_TOLD = 100, 200
"""Trials from which the forest learns: a proposal takes time in proportion to them."""


class ForestSampler(PointSampler):
    """Proposes the point with the largest expected improvement over the best score so far."""

    def __init__(self, draw: Draw):
        super().__init__(draw)
        self._random, self._encoding = np.random.default_rng(draw.seed), draw.encoding

    def choose(self, trials: Sequence[FrozenTrial]) -> Mapping[str, Scalar]:
        told = [trial for trial in trials if trial.intermediate_values]
        told.sort(key=_best_score, reverse=True)
        newest = {trial.number for trial in sorted(told, key=lambda trial: trial.number)[-NEWEST_TOLD:]}
        told = [trial for rank, trial in enumerate(told) if rank < BEST_TOLD or trial.number in newest]
        return self._encoding.point(self._best_candidate(told)) if told else {}

    def _best_candidate(self, told: Sequence[FrozenTrial]) -> np.ndarray:
        """(parameters,): its coordinates in the cube."""
        from sklearn.ensemble import ExtraTreesRegressor  # half a second, and a search begins with the even design

        cubes = self._candidates(told)
        features, scores = self._rows(told)
        forest = ExtraTreesRegressor(
            TREES,
            min_samples_leaf=2,
            max_features=0.5,
            bootstrap=True,
            random_state=int(self._random.integers(2**31)),
        ).fit(features, scores)
        rows = np.column_stack([self._encoding.features(cubes), np.ones(len(cubes))]).astype(np.float32)
        predicted = np.array([tree.tree_.predict(rows)[:, 0] for tree in forest.estimators_])
        mean, deviation = predicted.mean(0), predicted.std(0) + 1e-3
        z = (mean - scores.max()) / deviation
        improvement = deviation * (z * stats.norm.cdf(z) + stats.norm.pdf(z))
        return cubes[int(np.argmax(improvement))]

    def _candidates(self, told: Sequence[FrozenTrial]) -> np.ndarray:
        """(N, parameters): anywhere, and near the first of the trials."""
        parents = told[:PARENTS]
        near = [
            self._encoding.neighbours(self._encoding.of_trial(trial)[0], NEAR // len(parents), self._random)
            for trial in parents
        ]
        return np.concatenate([self._random.random((RANDOM, len(self._encoding.parameters))), *near])

    def _rows(self, told: Sequence[FrozenTrial]) -> tuple[np.ndarray, np.ndarray]:
        """What the forest learns: (N, features) and (N,) scores, of each trial's epochs 1, 2, 4, ... and its last."""
        described, counts, epochs, scores = [], [], [], []
        for trial in told:
            values = trial.intermediate_values
            last = max(values)
            kept = [epoch for epoch in values if epoch == last or epoch & (epoch - 1) == 0]
            described.append(self._encoding.of_trial(trial)[1])
            counts.append(len(kept))
            epochs += kept
            scores += [values[epoch] for epoch in kept]
        reached = np.log(epochs) / math.log(max(self.draw.max_epochs, 2))  # of one epoch: the same for all
        features = np.column_stack([np.repeat(described, counts, axis=0), reached])
        return features.astype(np.float32), np.array(scores)


def _best_score(trial: FrozenTrial) -> float:
    return max(trial.intermediate_values.values())
