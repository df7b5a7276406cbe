from __future__ import annotations

import pytest

from search.cluster_options import submission_address, without_address
from search.options import parser


@pytest.mark.parametrize(
    ("arguments", "environment", "expected"),
    [
        (["--address", "http://h:8265"], None, "http://h:8265"),
        (["--address", "https://h"], "h:6379", "https://h"),
        ([], "http://h:8265", "http://h:8265"),
        (["--address", "auto"], "http://h:8265", None),
        (["--address", "h:6379"], None, None),
        ([], None, None),
    ],
)
def test_only_a_dashboards_address_is_submitted_to(arguments, environment, expected, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    if environment:
        monkeypatch.setenv("RAY_ADDRESS", environment)
    assert submission_address(parser().parse_args(arguments)) == expected


@pytest.mark.parametrize("address", [["--address", "http://h"], ["--address=http://h"]])
def test_a_submitted_command_line_is_the_one_given_but_for_the_address(address):
    rest = ["--budget", "5", "--set", "model.width=8", "--systems", "all"]
    assert without_address([*rest[:2], *address, *rest[2:]]) == rest
