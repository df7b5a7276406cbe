"""Searches of other libraries in the same virtual time, for `search_quality`."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from search.study.space import Scalar, Space

Train = Callable[[Mapping[str, Scalar], int], Iterator[tuple[float, float]]]
"""Maps (parameters, trial number) to the (score, virtual seconds) of the trial's epochs."""


class Rival(Protocol):
    def suggest(self, number: int) -> Mapping[str, Scalar]: ...

    def report(self, number: int, epoch: int, score: float) -> bool:
        """Return whether the trial continues; it never does after its last epoch."""


def best_so_far(rival: Rival, train: Train, *, epochs: int, slots: int) -> list[float]:
    """Return the best score so far after each epoch, counted over all trials."""
    running: list[tuple[float, int, _Trial]] = []
    best: list[float] = []
    now, born = 0.0, 0
    while len(best) < epochs:
        while len(running) < slots:
            coming = train(rival.suggest(born), born)
            trial = _Trial(born, coming, next(coming))
            heapq.heappush(running, (now + trial.ahead[1], born, trial))
            born += 1
        now, number, trial = heapq.heappop(running)
        score = trial.ahead[0]
        trial.epoch += 1
        best.append(max(score, best[-1] if best else 0.0))
        if rival.report(number, trial.epoch, score):
            trial.ahead = next(trial.coming)
            heapq.heappush(running, (now + trial.ahead[1], number, trial))
    return best


@dataclass
class _Trial:
    number: int
    coming: Iterator[tuple[float, float]]
    ahead: tuple[float, float]
    epoch: int = field(default=0)


class Ray:
    """Ray Tune's `OptunaSearch` and `ASHAScheduler`, combined as in its documentation.

    Args:
        space: the space to search.
        seed: seed of the sampler.
        max_epochs: most epochs of a trial.
        random: sample at random instead of by TPE.
    """

    def __init__(self, space: Space, seed: int, max_epochs: int, *, random: bool = False):
        import optuna
        from ray.tune.schedulers import ASHAScheduler
        from ray.tune.search.optuna import OptunaSearch

        sampler = optuna.samplers.RandomSampler(seed=seed) if random else optuna.samplers.TPESampler(seed=seed)

        def defined(trial: optuna.Trial) -> None:
            space.suggest(trial)

        self.search = OptunaSearch(defined, metric="score", mode="max", sampler=sampler)
        self.scheduler = ASHAScheduler(
            time_attr="training_iteration", metric="score", mode="max", max_t=max_epochs, grace_period=1
        )
        self.max_epochs = max_epochs

    def suggest(self, number: int) -> Mapping[str, Scalar]:
        params = self.search.suggest(str(number))
        assert isinstance(params, dict)
        self.scheduler.on_trial_add(None, _Known(str(number)))
        return params

    def report(self, number: int, epoch: int, score: float) -> bool:
        result: dict[str, Any] = {"training_iteration": epoch, "score": score}
        decision = self.scheduler.on_trial_result(None, _Known(str(number)), result)
        self.search.on_trial_result(str(number), result)
        if decision == "CONTINUE" and epoch < self.max_epochs:
            return True
        self.scheduler.on_trial_complete(None, _Known(str(number)), result)
        self.search.on_trial_complete(str(number), result)
        return False


@dataclass
class _Known:
    trial_id: str


class SyneTune:
    """Syne Tune's ASHA with one of its searchers.

    It has no conditional parameters, so it also chooses values for parameters that a configuration does not have.

    Args:
        space: the space to search.
        seed: seed of the scheduler.
        max_epochs: most epochs of a trial.
        name: name of a class of `syne_tune.optimizer.baselines`: ASHA, BOHB.
    """

    def __init__(self, space: Space, seed: int, max_epochs: int, *, name: str):
        from syne_tune import config_space
        from syne_tune.optimizer import baselines

        domains = {}
        for parameter in space.parameters:
            if parameter.choices is not None:
                domains[parameter.name] = config_space.choice(list(parameter.choices))
            elif parameter.whole:
                domain = config_space.lograndint if parameter.log else config_space.randint
                domains[parameter.name] = domain(int(parameter.low), int(parameter.high))
            else:
                domain = config_space.loguniform if parameter.log else config_space.uniform
                domains[parameter.name] = domain(parameter.low, parameter.high)
        self.space = space
        self.scheduler = getattr(baselines, name)(
            domains, metric="score", time_attr="epoch", max_t=max_epochs, do_minimize=False, random_seed=seed
        )
        self.trials: dict[int, Any] = {}
        self.max_epochs = max_epochs

    def suggest(self, number: int) -> Mapping[str, Scalar]:
        import datetime

        from syne_tune.backend.trial_status import Trial

        suggestion = self.scheduler.suggest()
        trial = self.trials[number] = Trial(number, suggestion.config, datetime.datetime.now())
        self.scheduler.on_trial_add(trial)
        return self.space.existing(suggestion.config)

    def report(self, number: int, epoch: int, score: float) -> bool:
        result, trial = {"epoch": epoch, "score": score}, self.trials[number]
        if epoch == self.max_epochs:
            self.scheduler.on_trial_complete(trial, result)
            return False
        return self.scheduler.on_trial_result(trial, result) == "CONTINUE"
