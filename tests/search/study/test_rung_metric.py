from __future__ import annotations

import pytest

from search.study import rung_metric as judging
from search.study.rung_metric import RUNG_METRICS, RungMetric


@pytest.mark.parametrize(
    ("kind", "expected"), [("last", [0.4, 0.8, 0.2]), ("best", [0.4, 0.8, 0.8]), ("ema", [0.4, 0.6, 0.4])]
)
def test_a_trial_is_judged_by(kind, expected):
    rung_metric = RungMetric(kind)
    judged = []
    for score in (0.4, 0.8, 0.2):
        judged.append(rung_metric(0, score))
        rung_metric(1, 0.9)  # another trial's are its own
    assert judged == pytest.approx(expected)


@pytest.mark.parametrize("kind", RUNG_METRICS)
def test_the_epochs_of_another_trial_between_change_nothing(kind):
    apart, mixed = RungMetric(kind), RungMetric(kind)
    alone = [apart(0, score) for score in (0.4, 0.8, 0.2)] + [apart(1, score) for score in (0.9, 0.1, 0.5)]
    pairs = [(mixed(0, one), mixed(1, other)) for one, other in ((0.4, 0.9), (0.8, 0.1), (0.2, 0.5))]
    assert alone == [one for one, _ in pairs] + [other for _, other in pairs]


def test_the_moving_average_gives_the_newest_epoch_its_weight(monkeypatch):
    monkeypatch.setattr(judging, "EMA_STEP", 0.25)  # at a half, old and new weigh the same
    rung_metric = RungMetric("ema")
    # 0.4; 0.4 + 0.25 * 0.4; 0.5 - 0.25 * 0.3; 0.425 - 0.25 * 0.025
    assert [rung_metric(0, score) for score in (0.4, 0.8, 0.2, 0.4)] == pytest.approx([0.4, 0.5, 0.425, 0.41875])


def test_the_best_is_below_zero_where_all_are():
    rung_metric = RungMetric("best")
    assert [rung_metric(0, score) for score in (-0.5, -0.7, -0.2)] == [-0.5, -0.5, -0.2]
