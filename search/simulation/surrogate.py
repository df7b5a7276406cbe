"""A surrogate model of learning curves, which predicts configurations that were never trained."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats
from sklearn.ensemble import RandomForestRegressor
from sklearn.model_selection import GroupKFold

from search.simulation.curves import Curve
from search.study.space import Parameter, Scalar, Space
from trainables.cpus import usable_cpus
from trainables.messages import EpochReport

TREES, FOLDS = 100, 5
MOST_ROWS = 4000
"""Maximum number of epochs that a tree is fitted to. Each tree draws others. With all of 42,000 epochs, a fit takes six
times as long and is no more accurate: neighbouring epochs of a curve say almost the same."""
FEWEST = 10
"""Minimum number of curves for a model."""


@dataclass(frozen=True, kw_only=True)
class Quality:
    """Accuracy of the model, cross-validated over trials: no curve is predicted by a model trained on part of it."""

    error: float
    """Root mean square error, in mean IoU."""
    rank_correlation: float
    """Spearman's rank correlation between predicted and recorded score of each trial's last epoch."""


class Surrogate:
    """Random forests over (configuration, epoch): one for the score, one for the logarithm of the seconds.

    A forest's curves are smoother than real ones, which would make early stopping too easy. Therefore, each simulated
    curve adds the cross-validated prediction errors of a recorded trial, epoch by epoch.

    Args:
        space: search space of the recorded and the simulated trials.
        curves: the recorded learning curves.
        max_epochs: maximum number of epochs of a simulated trial.
        patience: number of epochs without a better score after which a simulated trial ends.

    Raises:
        ValueError: if there are too few curves, or the longest was stopped before `max_epochs`.
    """

    def __init__(self, space: Space, curves: list[Curve], *, max_epochs: int, patience: int):
        if len(curves) < FEWEST:
            raise ValueError(
                f"{len(curves)} learning curves are too few for a model, which needs at least {FEWEST}: continue the "
                "study with a larger --budget"
            )
        longest = max(len(curve.scores) for curve in curves)
        # Beyond the longest curve the model predicts what it has there, so that simulated trials end by early stopping.
        if longest < max_epochs and not any(curve.whole for curve in curves if len(curve.scores) == longest):
            raise ValueError(
                f"no recorded trial has {max_epochs} epochs, the longest was stopped after {longest}, and a model "
                "cannot predict beyond it: continue the study until a trial ends by itself"
            )
        self.space, self.max_epochs, self.patience = space, max_epochs, patience
        groups = np.repeat(np.arange(len(curves)), [len(curve.scores) for curve in curves])
        features = np.concatenate([self._encoded(curve.params, len(curve.scores)) for curve in curves])
        scores = np.concatenate([curve.scores for curve in curves])
        seconds = np.log(np.maximum(np.concatenate([curve.seconds for curve in curves]), 1e-6))
        predicted = np.empty_like(scores)
        for seen, unseen in GroupKFold(min(FOLDS, len(curves))).split(features, scores, groups):
            predicted[unseen] = _predict(_fit(features[seen], scores[seen]), features[unseen])
        self._score, self._seconds = _fit(features, scores), _fit(features, seconds)
        errors = scores - predicted
        self._errors = [errors[groups == trial] for trial, curve in enumerate(curves) if len(curve.scores) > 1]
        last = np.append(np.flatnonzero(np.diff(groups)), len(groups) - 1)
        self.quality = Quality(
            error=float(np.sqrt(np.mean(errors**2))),
            rank_correlation=float(stats.spearmanr(predicted[last], scores[last]).statistic),
        )

    def reports(self, params: Mapping[str, Scalar], seed: int) -> list[EpochReport]:
        """Return the reports of a simulated trial with these parameters until it ends; the seed determines them."""
        features = self._encoded(params, self.max_epochs)
        digest = hashlib.sha256(json.dumps([seed, params], sort_keys=True).encode()).digest()
        error = self._errors[int.from_bytes(digest[:4], "little") % len(self._errors)]
        lacked = np.interp(np.arange(self.max_epochs), np.arange(len(error)), error)
        scores = np.clip(_predict(self._score, features) + lacked, 0.0, 1.0)
        seconds = np.exp(_predict(self._seconds, features))
        epochs = zip(scores.tolist(), seconds.tolist(), strict=True)
        return list(simulated_reports(epochs, max_epochs=self.max_epochs, patience=self.patience))

    def _encoded(self, params: Mapping[str, Scalar], epochs: int) -> np.ndarray:
        """Return (epochs, features) floats: the epoch, then each parameter; NaN for a number that does not exist."""
        columns = [value for parameter in self.space.parameters for value in _columns(parameter, params)]
        return np.column_stack([np.arange(1, epochs + 1), np.tile(columns, (epochs, 1))])


def simulated_reports(
    epochs: Iterable[tuple[float, float]], *, max_epochs: int, patience: int
) -> Iterator[EpochReport]:
    """Yield reports from (score, seconds) of each epoch, ending where the real epoch loop would end the trial."""
    best, best_epoch = -1.0, 0
    for epoch, (score, seconds) in enumerate(epochs, start=1):
        if score > best:
            best, best_epoch = score, epoch
        ended = "max_epochs" if epoch == max_epochs else "early_stopping" if epoch - best_epoch >= patience else None
        yield EpochReport(
            epoch=epoch,
            train_loss=0.0,
            val_loss=None,
            score=score,
            mean_iou=None,
            class_iou={},
            best_score=best,
            best_epoch=best_epoch,
            learning_rate=0.0,
            gradient_norm=0.0,
            images_per_second=0.0,
            train_seconds=seconds,
            val_seconds=0.0,
            parameters=0,
            ended=ended,
        )
        if ended is not None:
            return


def _columns(parameter: Parameter, params: Mapping[str, Scalar]) -> list[float]:
    value = params.get(parameter.name)
    if parameter.choices is not None:
        return [float(value == choice) for choice in parameter.choices]
    if value is None:
        return [np.nan]
    return [float(np.log(float(value)) if parameter.log else value)]


def _fit(features: np.ndarray, values: np.ndarray) -> RandomForestRegressor:
    rows = min(MOST_ROWS, len(values))
    forest = RandomForestRegressor(TREES, min_samples_leaf=2, max_samples=rows, random_state=0, n_jobs=usable_cpus())
    # The threads of scikit-learn exchange the process's filters of warnings, and may leave none: it warns next time.
    with warnings.catch_warnings():
        return forest.fit(features, values)


def _predict(forest: RandomForestRegressor, features: np.ndarray) -> np.ndarray:
    """Return the mean of the trees, as `forest.predict` does, but without its overhead, which exceeds the work."""
    rows = features.astype(np.float32)
    total = np.zeros(len(rows))
    for tree in forest.estimators_:
        total += tree.tree_.predict(rows)[:, 0]
    return total / len(forest.estimators_)
