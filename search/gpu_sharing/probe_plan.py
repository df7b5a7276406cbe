"""The configurations that a probe measures: a ladder from the lightest to the heaviest, and the middle of the space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.trial import FixedTrial

from search.study.settings import StudySettings
from search.study.space import Parameter, Scalar, Space
from search.study.systems import runs_of
from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.profiling.footprint import footprint

MAX_PROBE_CONFIGS = 12


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """A configuration to probe."""

    label: str
    config: dict[str, Any]
    """The complete configuration in the flat form of `TrialConfig`."""


@dataclass(frozen=True, kw_only=True)
class ProbePlan:
    """At most `MAX_PROBE_CONFIGS` configurations of a study."""

    ladder: tuple[ProbeConfig, ...]
    """Configurations from the lightest to the heaviest."""
    middle: ProbeConfig
    """A typical configuration of the search; for a study of systems it is one of the ladder."""

    def each(self) -> tuple[ProbeConfig, ...]:
        return self.ladder if self.middle in self.ladder else (*self.ladder, self.middle)


def probe_plan(settings: StudySettings, data: PreparedData) -> ProbePlan:
    """Return the configurations of a study to probe, including its fixed settings.

    The parameters that affect memory and speed have thousands of combinations. The ladder therefore starts with the
    lightest values and sets one parameter after another to its heaviest value, the most expensive parameter first.
    Each step shows the cost of one parameter, and the last steps, where memory runs out, are the smallest. The
    footprint determines the heaviest value of each parameter, and which parameters have an effect.

    Raises:
        ValueError: if a configuration of the space cannot be trained on the data.
    """

    def size(config: dict[str, Any]) -> int:
        whole = TrialConfig.from_flat(config)
        return footprint(whole, data).bytes(whole.training.batch_size)

    return _of_systems(settings, size) if settings.systems else _of_space(settings, size)


Size = Callable[[dict[str, Any]], int]
"""Returns the memory, in bytes, of a configuration in the flat form of `TrialConfig`."""


def _of_space(settings: StudySettings, size: Size) -> ProbePlan:
    space = settings.search_space()
    middle = {parameter.name: levels[len(levels) // 2] for parameter, levels in _levels(space)}
    costs: list[tuple[int, str, Scalar, Scalar]] = []  # effect, name, lightest, heaviest
    for parameter, levels in _levels(space):
        sizes = [size(_whole(settings, space, middle | {parameter.name: level})) for level in levels]
        if min(sizes) < max(sizes):
            lightest, heaviest = levels[int(np.argmin(sizes))], levels[int(np.argmax(sizes))]
            costs.append((max(sizes) - min(sizes), parameter.name, lightest, heaviest))
    costs.sort(reverse=True)
    told = [name for _, name, *_ in costs]
    values = middle | {name: lightest for _, name, lightest, _ in costs}
    ladder = [_probe_config(settings, space, "lightest:", values, told)]
    singly = MAX_PROBE_CONFIGS - 3  # one each for the lightest, the middle, and all the least expensive parameters
    for step in [*([cost] for cost in costs[:singly]), costs[singly:]]:
        if step:
            raised = {name: heaviest for _, name, _, heaviest in step}
            values |= raised
            ladder.append(_probe_config(settings, space, "+", values, list(raised)))
    return ProbePlan(ladder=tuple(ladder), middle=_probe_config(settings, space, "middle:", middle, told))


def _of_systems(settings: StudySettings, size: Size) -> ProbePlan:
    space = settings.search_space()
    runs = runs_of(settings.systems, seeds=1, first_seed=settings.seed)
    found = [ProbeConfig(label=str(run["system"]), config=_whole(settings, space, run)) for run in runs]
    found.sort(key=lambda candidate: size(candidate.config))
    chosen = np.unique(np.linspace(0, len(found) - 1, MAX_PROBE_CONFIGS).round().astype(int))
    ladder = tuple(found[place] for place in chosen)
    return ProbePlan(ladder=ladder, middle=ladder[len(ladder) // 2])


def _levels(space: Space) -> list[tuple[Parameter, tuple[Scalar, ...]]]:
    """Return each parameter with its choices, or with the ends and the middle of its range."""
    return [(parameter, parameter.choices or _range(parameter)) for parameter in space.parameters]


def _range(parameter: Parameter) -> tuple[Scalar, ...]:
    assert parameter.low is not None
    assert parameter.high is not None
    middle = (parameter.low * parameter.high) ** 0.5 if parameter.log else (parameter.low + parameter.high) / 2
    return parameter.low, middle, parameter.high


def _whole(settings: StudySettings, space: Space, values: dict[str, Scalar]) -> dict[str, Any]:
    return settings.whole_config(space.suggest(FixedTrial(values)))


def _probe_config(
    settings: StudySettings, space: Space, word: str, values: dict[str, Scalar], told: list[str]
) -> ProbeConfig:
    shown = ", ".join(f"{name.partition('.')[2]} {values[name]}" for name in told)
    return ProbeConfig(label=f"{word} {shown}", config=_whole(settings, space, values))
