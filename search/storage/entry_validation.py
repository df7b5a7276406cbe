"""Validation of entries of Optuna's journal: Optuna must be able to load them, whoever wrote them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import datetime
from typing import Any

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
    json_to_distribution,
)
from optuna.study import StudyDirection
from optuna.trial import TrialState

from search.json_records import MOST, is_number


def check_entry(entry: Any) -> None:
    """Raise ValueError, naming the rule, if Optuna could not load the entry."""
    if not isinstance(entry, dict):
        raise ValueError("not a JSON object")
    operation = entry.get("op_code")
    if not _index(operation) or operation not in _RULES:
        raise ValueError("its op_code is not one of Optuna's")
    needed, optional = _RULES[operation]
    for name, holds in needed.items():
        if name not in entry:
            raise ValueError(f"has no {name}")
        if not holds(entry[name]):
            raise ValueError(f"its {name} is invalid")
    for name, holds in optional.items():
        if name in entry and not holds(entry[name]):
            raise ValueError(f"its {name} is invalid")
    if operation == CREATE_TRIAL:
        distributions = entry.get("distributions", {})
        for name, value in entry.get("params", {}).items():
            _check_value(name, value, distributions.get(name))
        if entry.get("value") is not None and entry.get("values") is not None:
            raise ValueError("has both value and values")
    if operation == SET_PARAM:
        _check_value(entry["param_name"], entry["param_value_internal"], entry["distribution"])
    if operation == SET_STATE:
        time = "datetime_complete" if TrialState(entry["state"]).is_finished() else "datetime_start"
        if entry["state"] != TrialState.WAITING and not _time(entry.get(time)):
            raise ValueError(f"its {time} is invalid")


def _check_value(name: str, value: Any, distribution: Any) -> None:
    """Raise ValueError if a parameter's value is not one of its distribution."""
    if not isinstance(distribution, str) or (found := _distribution(distribution)) is None:
        raise ValueError(f"the distribution of parameter {name!r} is invalid")
    if not _finite(value):
        raise ValueError(f"parameter {name!r} is not a finite number")
    if isinstance(found, CategoricalDistribution) and not 0 <= value < len(found.choices):
        raise ValueError(f"parameter {name!r} is not one of its choices")


@functools.lru_cache(maxsize=4096)
def _distribution(text: str) -> BaseDistribution | None:
    """Parse a distribution; return None if it is invalid."""
    try:
        found = json_to_distribution(text)
    except Exception:  # Optuna's code may raise anything for malformed text
        return None
    if isinstance(found, CategoricalDistribution):
        return found if all(_choice(choice) for choice in found.choices) else None
    if not isinstance(found, IntDistribution | FloatDistribution):
        return None
    bounds: tuple[Any, ...] = (found.low, found.high, 1 if found.step is None else found.step)
    return found if all(map(_finite, bounds)) else None


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST


def _finite(value: Any) -> bool:
    return is_number(value) and abs(value) < MOST


def _choice(value: Any) -> bool:
    return value is None or isinstance(value, str | bool) or is_number(value)


def _maybe(holds: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or holds(value)


def _time(value: Any) -> bool:
    try:
        datetime.fromisoformat(value).astimezone()
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _state(value: Any) -> bool:
    return _index(value) and value in {state.value for state in TrialState}


def _directions(value: Any) -> bool:
    known = {direction.value for direction in StudyDirection}
    return isinstance(value, list) and all(_index(direction) and direction in known for direction in value)


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and all(map(is_number, value))


def _named(value: Any) -> bool:
    return isinstance(value, dict)


def _one(value: Any) -> bool:
    return isinstance(value, dict) and len(value) == 1


def _texts(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_text, value.values()))


def _steps(value: Any) -> bool:
    return isinstance(value, dict) and all(
        step.isascii() and step.isdigit() and len(step) < 19 and is_number(score) for step, score in value.items()
    )


CREATE_STUDY, DELETE_STUDY, CREATE_TRIAL, SET_PARAM, SET_STATE, SET_VALUE, SET_USER_ATTR = 0, 1, 4, 5, 6, 7, 8

Rules = dict[str, Callable[[Any], bool]]
_STUDY: Rules = {"worker_id": _text, "study_id": _index}
_TRIAL: Rules = {"worker_id": _text, "trial_id": _index}
_RULES: dict[int, tuple[Rules, Rules]] = {
    CREATE_STUDY: ({"worker_id": _text, "study_name": _text, "directions": _directions}, {}),
    DELETE_STUDY: (_STUDY, {}),
    2: (_STUDY | {"user_attr": _one}, {}),
    3: (_STUDY | {"system_attr": _one}, {}),
    CREATE_TRIAL: (
        _STUDY | {"datetime_start": _maybe(_time)},
        {
            "state": _state,
            "value": _maybe(is_number),
            "values": _maybe(_numbers),
            "datetime_complete": _time,
            "distributions": _texts,
            "params": _named,
            "user_attrs": _named,
            "system_attrs": _named,
            "intermediate_values": _steps,
        },
    ),
    SET_PARAM: (_TRIAL | {"param_name": _text, "param_value_internal": is_number, "distribution": _text}, {}),
    SET_STATE: (_TRIAL | {"state": _state, "values": _maybe(_numbers)}, {}),
    SET_VALUE: (_TRIAL | {"step": _index, "intermediate_value": is_number}, {}),
    SET_USER_ATTR: (_TRIAL | {"user_attr": _one}, {}),
    9: (_TRIAL | {"system_attr": _one}, {}),
    10: ({}, {}),
}
"""By Optuna's op_code: the required and the optional fields of an entry, each with its check."""
