from __future__ import annotations

import pytest

from search.formatting import config_line, duration


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "?"), (12.4, "12 s"), (200, "3 min 20 s"), (3900, "1 h 05 min"), (59.7, "1 min 00 s")]
)
def test_durations_are_readable(seconds, text):
    assert duration(seconds) == text


def test_a_configuration_in_one_line():
    params = {"model.depth": 3, "loss.name": "focal", "loss.gamma": 2.0, "optimizer.lr": 0.00123456}
    assert config_line(params) == "depth 3, loss focal, gamma 2, lr 0.00123"
