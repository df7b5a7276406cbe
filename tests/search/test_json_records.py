from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from search.json_records import from_json, is_number


@dataclass(frozen=True)
class Made:
    count: int
    share: float
    name: str | None
    pair: tuple[int, str] = (0, "")
    many: list[float] = field(default_factory=list)
    named: dict[str, int] = field(default_factory=dict)


WHOLE = {"count": 3, "share": 0.5, "name": None}


def test_a_record_takes_what_it_knows_and_its_defaults():
    assert from_json(Made, WHOLE | {"another": 1}) == Made(count=3, share=0.5, name=None)
    more = {"pair": [1, "a"], "many": [1, 2.5], "named": {"a": 1}}
    assert from_json(Made, WHOLE | more) == Made(3, 0.5, None, pair=[1, "a"], many=[1, 2.5], named={"a": 1})


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"count": True}, "count is True, must be int"),
        ({"count": 2**63}, f"count is {2**63}, must be int"),
        ({"count": -(2**63)}, f"count is {-(2**63)}, must be int"),
        ({"count": 1.0}, "count is 1.0, must be int"),
        ({"share": "0.5"}, "share is '0.5', must be float"),
        ({"share": 2**63}, f"share is {2**63}, must be float"),
        ({"name": 3}, "name is 3, must be str | None"),
        ({"pair": [1]}, "pair is [1], must be tuple"),
        ({"pair": [1, 2]}, "pair is [1, 2], must be tuple"),
        ({"many": ["a"]}, "many is ['a'], must be list"),
        ({"many": {}}, "many is {}, must be list"),
        ({"named": {"a": "b"}}, "named is {'a': 'b'}, must be dict"),
        ({"named": {"a": 1, "b": "c"}}, "named is {'a': 1, 'b': 'c'}, must be dict"),
        ({"many": [1, "a"]}, "many is [1, 'a'], must be list"),
        ({"named": {1: 1}}, "named is {1: 1}, must be dict"),
        ({"count": "x" * 38}, f"count is '{'x' * 38}', must be int"),  # 40 characters are shown
        ({"count": "x" * 39}, f"count is '{'x' * 39}..., must be int"),
    ],
)
def test_a_value_of_another_type_is_named(changes, rule):
    with pytest.raises(ValueError, match=f"^{re.escape(rule)}"):
        from_json(Made, WHOLE | changes)


def test_the_largest_numbers_that_fit():
    assert from_json(Made, WHOLE | {"count": 2**63 - 1, "share": 1 - 2**63}).count == 2**63 - 1


@pytest.mark.parametrize("name", list(WHOLE))
def test_what_is_missing_is_named(name):
    with pytest.raises(ValueError, match=f"^{name} is missing$"):
        from_json(Made, {key: value for key, value in WHOLE.items() if key != name})


@pytest.mark.parametrize("values", [None, [], "a", 3])
def test_what_is_no_set_of_named_values_is_shown(values):
    with pytest.raises(ValueError, match=re.escape(f"{values!r} is not a JSON object")):
        from_json(Made, values)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.5, True), (float("nan"), True), (3, True), (2**63 - 1, True), (2**63, False), (True, False), ("1", False)],
)
def test_what_counts_as_a_number(value, expected):
    assert is_number(value) is expected
