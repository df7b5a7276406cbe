from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from reports.output.figures import MOST_NAMED, class_bars, confusion_matrix


def facts_of(names):
    data = SimpleNamespace(description=SimpleNamespace(class_names=names), present_labels=tuple(range(len(names))))
    return SimpleNamespace(data=data)


def test_class_names_appear_as_they_are():
    names = ["a$_$", "$b_{$", "c[bold]", "x^2 $5"]
    facts = facts_of(names)
    for figure in (
        class_bars(facts, {"validation": dict.fromkeys(names, 0.5), "held-out test": {}}),
        confusion_matrix(facts, np.eye(4)),
    ):
        assert all(name in figure for name in names)


def test_many_classes_are_drawn_without_names_and_soon():
    names = [f"class {number}" for number in range(256)]
    bars = class_bars(facts_of(names), {"validation": dict.fromkeys(names, 0.5)})
    matrix = confusion_matrix(facts_of(names), np.eye(256))
    assert "class 7" not in bars + matrix
    assert (bars + matrix).count("<text") < 50
    few = names[:MOST_NAMED]
    assert "class 7" in class_bars(facts_of(few), {"validation": dict.fromkeys(few, 0.5)})
