"""A sampler that predicts the final score of a configuration with a random forest over (configuration, epoch).

After SMAC (Hutter, Hoos, Leyton-Brown, "Sequential Model-Based Optimization for General Algorithm Configuration",
2011): the candidates are random points and neighbours of good points, and the one with the largest expected improvement
is proposed. A forest handles categorical and conditional parameters directly. The epoch is one of its features, so even
trials of a few epochs contribute to the prediction of the score after the last epoch.
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
"""Number of candidates: random points, neighbours, and the best trials whose neighbours are drawn."""

BEST_TOLD, NEWEST_TOLD = 100, 200
"""Numbers of best and of newest trials that the forest is fitted to: a proposal takes time in proportion to them."""


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
        """Return the coordinates of the best candidate in the cube, (parameters,)."""
        from sklearn.ensemble import ExtraTreesRegressor  # takes half a second; the first trials do not need it

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
        """Return candidates (N, parameters): random points, and neighbours of the first of the trials."""
        parents = told[:PARENTS]
        near = [
            self._encoding.neighbours(self._encoding.of_trial(trial)[0], NEAR // len(parents), self._random)
            for trial in parents
        ]
        return np.concatenate([self._random.random((RANDOM, len(self._encoding.parameters))), *near])

    def _rows(self, told: Sequence[FrozenTrial]) -> tuple[np.ndarray, np.ndarray]:
        """Return the forest's training data: features (N, features) and scores (N,).

        There is a row for each trial's epochs 1, 2, 4, ... and its last.
        """
        described, counts, epochs, scores = [], [], [], []
        for trial in told:
            values = trial.intermediate_values
            last = max(values)
            kept = [epoch for epoch in values if epoch == last or epoch & (epoch - 1) == 0]
            described.append(self._encoding.of_trial(trial)[1])
            counts.append(len(kept))
            epochs += kept
            scores += [values[epoch] for epoch in kept]
        reached = np.log(epochs) / math.log(max(self.draw.max_epochs, 2))  # max(..., 2): no division by log(1) = 0
        features = np.column_stack([np.repeat(described, counts, axis=0), reached])
        return features.astype(np.float32), np.array(scores)


def _best_score(trial: FrozenTrial) -> float:
    return max(trial.intermediate_values.values())
