"""Which entries Optuna could take in, by rule: one of each kind, and what each may not be."""

from __future__ import annotations

import re

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, distribution_to_json

from search.storage.entry_validation import check_entry

NUMBER = distribution_to_json(FloatDistribution(0.0, 1.0))
CHOICE = distribution_to_json(CategoricalDistribution(("a", "b")))
TIME = "2026-01-02T03:04:05.000006"

VALID = {
    "study made": {"op_code": 0, "worker_id": "w", "study_name": "s", "directions": [2]},
    "study deleted": {"op_code": 1, "worker_id": "w", "study_id": 0},
    "attribute of a study": {"op_code": 2, "worker_id": "w", "study_id": 0, "user_attr": {"a": 1}},
    "Optuna's attribute of a study": {"op_code": 3, "worker_id": "w", "study_id": 0, "system_attr": {"a": 1}},
    "trial made": {"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": TIME},
    "trial that waits": {"op_code": 4, "worker_id": "w", "study_id": 0, "datetime_start": None, "state": 4},
    "trial made whole": {
        "op_code": 4,
        "worker_id": "w",
        "study_id": 0,
        "datetime_start": TIME,
        "datetime_complete": TIME,
        "state": 1,
        "value": 0.5,
        "values": None,
        "distributions": {"x": NUMBER, "y": CHOICE},
        "params": {"x": 0.25, "y": 1},
        "user_attrs": {},
        "system_attrs": {},
        "intermediate_values": {"0": 0.5, "1": 1},
    },
    "parameter": {
        "op_code": 5,
        "worker_id": "w",
        "trial_id": 0,
        "param_name": "y",
        "param_value_internal": 0,
        "distribution": CHOICE,
    },
    "trial begun": {"op_code": 6, "worker_id": "w", "trial_id": 0, "state": 0, "values": None, "datetime_start": TIME},
    "trial ended": {
        "op_code": 6,
        "worker_id": "w",
        "trial_id": 0,
        "state": 1,
        "values": [0.5],
        "datetime_complete": TIME,
    },
    "trial put back": {"op_code": 6, "worker_id": "w", "trial_id": 0, "state": 4, "values": None},
    "value of a step": {"op_code": 7, "worker_id": "w", "trial_id": 0, "step": 0, "intermediate_value": 0.5},
    "attribute of a trial": {"op_code": 8, "worker_id": "w", "trial_id": 0, "user_attr": {"a": None}},
    "Optuna's attribute of a trial": {"op_code": 9, "worker_id": "w", "trial_id": 0, "system_attr": {"a": None}},
    "nothing": {"op_code": 10},
}
MAY_BE_ABSENT = {"value", "values", "distributions", "params", "user_attrs", "system_attrs", "intermediate_values"}


@pytest.mark.parametrize("kind", VALID)
def test_one_of_each_kind_is_taken(kind):
    check_entry(VALID[kind])


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind, entry in VALID.items()
        for name in entry
        if name != "op_code" and not (entry["op_code"] == 4 and name in MAY_BE_ABSENT | {"state", "datetime_complete"})
    ],
)
def test_what_must_be_there_is_named(kind, name):
    entry = {key: value for key, value in VALID[kind].items() if key != name}
    rule = f"its {name} is invalid" if VALID[kind]["op_code"] == 6 and "datetime" in name else f"has no {name}"
    with pytest.raises(ValueError, match=rule):
        check_entry(entry)


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("study made", "study_name", 3),
        ("study made", "directions", 2),
        ("study made", "directions", [3]),
        ("study deleted", "study_id", -1),
        ("study deleted", "study_id", True),
        ("study deleted", "study_id", 2**63),
        ("attribute of a study", "user_attr", {}),
        ("attribute of a study", "user_attr", {"a": 1, "b": 2}),
        ("Optuna's attribute of a study", "system_attr", []),
        ("trial made", "worker_id", None),
        ("trial made", "datetime_start", "yesterday"),
        ("trial made", "datetime_start", 20260102),
        ("trial made whole", "datetime_complete", None),
        ("trial made whole", "state", 5),
        ("trial made whole", "state", "1"),
        ("trial made whole", "value", "0.5"),
        ("trial made whole", "values", 0.5),
        ("trial made whole", "distributions", {"x": 3}),
        ("trial made whole", "params", [0.25]),
        ("trial made whole", "user_attrs", None),
        ("trial made whole", "system_attrs", None),
        ("trial made whole", "intermediate_values", {"one": 0.5}),
        ("trial made whole", "intermediate_values", {"-1": 0.5}),
        ("trial made whole", "intermediate_values", {"9" * 19: 0.5}),
        ("trial made whole", "intermediate_values", {"1": None}),
        ("parameter", "param_name", 3),
        ("parameter", "param_value_internal", "a"),
        ("trial ended", "state", 7),
        ("trial ended", "values", ["0.5"]),
        ("trial ended", "datetime_complete", "now"),
        ("trial begun", "datetime_start", "now"),
        ("value of a step", "step", 0.5),
        ("value of a step", "intermediate_value", None),
        ("attribute of a trial", "user_attr", None),
        ("Optuna's attribute of a trial", "system_attr", 3),
    ],
)
def test_what_is_of_another_kind_is_named(kind, name, value):
    with pytest.raises(ValueError, match=f"^its {name} is invalid$"):
        check_entry(VALID[kind] | {name: value})


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"params": {"x": 0.25, "z": 1}}, "the distribution of parameter 'z' is invalid"),
        ({"distributions": {"x": "{}", "y": CHOICE}}, "the distribution of parameter 'x' is invalid"),
        (
            {"distributions": {"x": NUMBER.replace("1.0", "Infinity"), "y": CHOICE}},
            "the distribution of parameter 'x' is invalid",
        ),
        ({"params": {"x": "0.25"}}, "parameter 'x' is not a finite number"),
        ({"params": {"x": float("inf")}}, "parameter 'x' is not a finite number"),
        ({"params": {"x": 2**63}}, "parameter 'x' is not a finite number"),
        ({"params": {"y": 2}}, "parameter 'y' is not one of its choices"),
        ({"params": {"y": -1}}, "parameter 'y' is not one of its choices"),
        ({"values": [0.5]}, "has both value and values"),
    ],
)
def test_what_does_not_go_together_is_said(changes, rule):
    with pytest.raises(ValueError, match=f"^{re.escape(rule)}$"):
        check_entry(VALID["trial made whole"] | changes)


@pytest.mark.parametrize("operation", [-1, 11, "4", True, None, 4.0])
def test_only_what_optuna_does_is_an_operation(operation):
    with pytest.raises(ValueError, match=r"^its op_code is not one of Optuna's$"):
        check_entry({"op_code": operation, "worker_id": "w", "study_id": 0, "datetime_start": TIME})
