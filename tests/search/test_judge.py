from __future__ import annotations

import pytest

from search.judge import Judge


@pytest.mark.parametrize(
    ("kind", "expected"), [("last", [0.4, 0.8, 0.2]), ("best", [0.4, 0.8, 0.8]), ("ema", [0.4, 0.6, 0.4])]
)
def test_a_trial_is_judged_by(kind, expected):
    judge = Judge(kind)
    judged = []
    for score in (0.4, 0.8, 0.2):
        judged.append(judge(0, score))
        judge(1, 0.9)  # another trial's are its own
    assert judged == pytest.approx(expected)
