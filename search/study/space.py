"""The search space, declared once for Optuna, TensorBoard, the report and `--help`.

The space is conditional: a parameter exists only where it has an effect (ASPP rates with ASPP, momentum with SGD, gamma
with focal loss). The choices of a categorical parameter never change within a study: they come from its profile, which
the ledger records.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.trial import BaseTrial


Scalar = str | int | float | bool


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One dimension: either `choices`, or a range from `low` to `high`."""

    name: str
    """Name in the study; also the key in the flat `TrialConfig`, unless `key` gives another one."""
    help: str
    choices: tuple[Scalar, ...] | None = None
    low: float | None = None
    high: float | None = None
    log: bool = False
    whole: bool = False
    """Whether the range holds whole numbers only."""
    when: tuple[str, tuple[Scalar, ...]] | None = None
    """Condition: the parameter exists only where this earlier parameter has one of these values."""
    key: str | None = None

    def suggest(self, trial: BaseTrial) -> Scalar:
        if self.choices is not None:
            chosen = trial.suggest_categorical(self.name, self.choices)
            assert chosen is not None
            return chosen
        assert self.low is not None
        assert self.high is not None
        if self.whole:
            return trial.suggest_int(self.name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(self.name, self.low, self.high, log=self.log)

    def nearest(self, value: Scalar) -> Scalar | None:
        """Return the value itself, or for a number the nearest possible value; None if there is no such value."""
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
    """Parameters, ordered so that each one comes after the one it depends on."""

    parameters: tuple[Parameter, ...]

    def suggest(self, trial: BaseTrial) -> dict[str, Scalar]:
        """Suggest a value for every parameter that exists in the trial.

        Returns: values for the flat `TrialConfig`. A second call with the same trial returns the same values.
        """
        values: dict[str, Scalar] = {}
        config: dict[str, Scalar] = {}
        for parameter in self.parameters:
            if parameter.when is None or values.get(parameter.when[0]) in parameter.when[1]:
                value = values[parameter.name] = parameter.suggest(trial)
                config[parameter.key or parameter.name] = value
        return config

    def existing(self, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Return only the values of parameters that exist, given the other values."""
        found: dict[str, Scalar] = {}
        for parameter in self.parameters:
            if parameter.name in values and (
                parameter.when is None or found.get(parameter.when[0]) in parameter.when[1]
            ):
                found[parameter.name] = values[parameter.name]
        return found

    def nearest(self, config: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Return the point nearest to a configuration in the flat form of `TrialConfig`, by parameter name.

        A parameter is left out if the configuration has no value for it, or one that has no nearest choice.
        """
        values: dict[str, Scalar] = {}
        for parameter in self.parameters:
            if parameter.when is not None and values.get(parameter.when[0]) not in parameter.when[1]:
                continue
            given = config.get(parameter.key or parameter.name)
            if given is not None and (value := parameter.nearest(given)) is not None:
                values[parameter.name] = value
        return values
