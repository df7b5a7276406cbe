"""The configurations of a study whose costs tell those of the others: the lightest to the heaviest, and the middle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from optuna.trial import FixedTrial

from search.study.baselines import runs_of
from search.study.settings import StudySettings
from search.study.space import Parameter, Scalar, Space
from trainables.config import TrialConfig
from trainables.data import PreparedData
from trainables.profiling.footprint import footprint

MAX_PROBE_CONFIGS = 12


@dataclass(frozen=True, kw_only=True)
class ProbeConfig:
    """A configuration to be probed."""

    label: str
    config: dict[str, Any]
    """Whole, in the flat form of `TrialConfig`."""


@dataclass(frozen=True, kw_only=True)
class ProbePlan:
    """At most `MAX_PROBE_CONFIGS` configurations of a study."""

    ladder: tuple[ProbeConfig, ...]
    """From the lightest to the heaviest."""
    middle: ProbeConfig
    """What a search spends its time on; of the systems one of the ladder."""

    def each(self) -> tuple[ProbeConfig, ...]:
        return self.ladder if self.middle in self.ladder else (*self.ladder, self.middle)


def probe_plan(settings: StudySettings, data: PreparedData) -> ProbePlan:
    """The configurations of a study that are probed, with its fixed settings.

    All combinations of what sets memory and speed are thousands. So the ladder makes one parameter after the other its
    heaviest, that with the greatest effect first: its last rungs are close together where memory ends, and each shows
    what one parameter costs. Which choice is the heaviest, and which parameters matter at all, the footprint tells.

    Raises:
        ValueError: if a configuration of the space cannot be trained on the data.
    """

    def size(config: dict[str, Any]) -> int:
        whole = TrialConfig.from_flat(config)
        return footprint(whole, data).bytes(whole.training.batch_size)

    return _of_systems(settings, size) if settings.systems else _of_space(settings, size)


Size = Callable[[dict[str, Any]], int]
"""Of a configuration in the flat form of `TrialConfig`, in bytes."""


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
    singly = MAX_PROBE_CONFIGS - 3  # besides the lightest, the middle, and the rung of those that matter least
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
    """Each parameter's choices, or both ends of its range and what lies halfway."""
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
