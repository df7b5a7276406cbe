"""The search space: declared once, read by Optuna, TensorBoard, the report and `--help`.

Conditional: a parameter exists only where it means something (ASPP rates with ASPP, momentum with SGD, gamma with
focal loss). The choices of a categorical never vary within a study: they come from its profile, which the ledger
records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optuna


Scalar = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One dimension: either `choices`, or a range from `low` to `high`."""

    name: str
    """Its name in the study; also the key in the flat `TrialConfig`, unless `key` says another."""
    help: str
    choices: tuple[Scalar, ...] | None = None
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    """Whether the range has whole numbers only."""
    when: tuple[str, tuple[Scalar, ...]] | None = None
    """The parameter exists only where that earlier parameter has one of those values."""
    key: str | None = None

    def suggest(self, trial: optuna.Trial) -> Scalar:
        if self.choices is not None:
            return trial.suggest_categorical(self.name, self.choices)
        assert self.low is not None
        assert self.high is not None
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def nearest(self, value: Scalar) -> Scalar | None:
        """The value itself, or for a number the nearest that there is; None for a name that is none."""
        if self.choices is None:
            if isinstance(value, str | bool):
                return None
            assert self.low is not None
            assert self.high is not None
            return min(max(float(value), self.low), self.high)
        if value in self.choices:
            return value
        numbers = [choice for choice in self.choices if not isinstance(choice, str | bool)]
        if isinstance(value, str | bool) or not numbers:
            return None
        return min(numbers, key=lambda choice: abs(choice - value))

    def describe_range(self) -> str:
        if self.choices is not None:
            return " | ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}{', log scale' if self.log else ''}"

    def describe_condition(self) -> str:
        return f"{self.when[0]} = {' | '.join(map(str, self.when[1]))}" if self.when else ""


@dataclass(frozen=True)
class Space:
    """Parameters in an order in which each follows the one it depends on."""

    parameters: tuple[Parameter, ...]

    def suggest(self, trial: optuna.Trial) -> dict[str, Scalar]:
        """Ask the trial for every parameter that exists for it.

        Returns: values for the flat `TrialConfig`. Asked again, the trial gives the same ones.
        """
        values: dict[str, Scalar] = {}
        config: dict[str, Scalar] = {}
        for parameter in self.parameters:
            if parameter.when is None or values.get(parameter.when[0]) in parameter.when[1]:
                value = values[parameter.name] = parameter.suggest(trial)
                config[parameter.key or parameter.name] = value
        return config

    def existing(self, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Of values for all parameters those of the ones that exist beside the others."""
        found: dict[str, Scalar] = {}
        for parameter in self.parameters:
            if parameter.name in values and (
                parameter.when is None or found.get(parameter.when[0]) in parameter.when[1]
            ):
                found[parameter.name] = values[parameter.name]
        return found

    def nearest(self, config: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """The point nearest to a configuration in the flat form of `TrialConfig`, by parameter.

        A parameter that the configuration leaves to its default, or whose value is no choice, is left out.
        """
        values: dict[str, Scalar] = {}
        for parameter in self.parameters:
            if parameter.when is not None and values.get(parameter.when[0]) not in parameter.when[1]:
                continue
            given = config.get(parameter.key or parameter.name)
            if given is not None and (value := parameter.nearest(given)) is not None:
                values[parameter.name] = value
        return values
