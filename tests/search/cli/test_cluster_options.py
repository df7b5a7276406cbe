from __future__ import annotations

import os

import pytest

from search.cli.options.cluster_parser import prepare_to_join, without_address, without_drop_list
from search.cli.options.search_parser import parse


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
    assert parse(arguments).submission_address == expected


@pytest.mark.parametrize("address", [["--address", "http://h"], ["--address=http://h"]])
def test_a_submitted_command_line_is_the_one_given_but_for_the_address(address):
    rest = ["--budget", "5", "--set", "model.width=8", "--systems", "all"]
    assert without_address([*rest[:2], *address, *rest[2:]]) == rest


@pytest.mark.parametrize("listed", [["--drop-list", "d.txt"], ["--drop-list=d.txt"]])
def test_a_job_has_a_drop_list_of_its_own(listed):
    rest = ["--budget", "5", "--keep-outliers"]
    assert without_drop_list([*rest[:2], *listed, *rest[2:]]) == rest


@pytest.mark.parametrize(
    ("environment", "has_token", "expected"),
    [
        ({}, False, None),
        ({}, True, "token"),
        ({"RAY_AUTH_TOKEN": "a"}, False, "token"),
        ({"RAY_AUTH_TOKEN_PATH": "/a"}, False, "token"),
        ({"RAY_AUTH_MODE": "disabled"}, True, "disabled"),
    ],
)
def test_a_token_that_there_is_is_shown(environment, has_token, expected, monkeypatch, tmp_path):
    for name in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH", "RAY_BACKEND_LOG_LEVEL"):
        monkeypatch.setenv(name, "")  # so that it is as it was afterwards
        monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("HOME", str(tmp_path))
    if has_token:
        (tmp_path / ".ray").mkdir()
        (tmp_path / ".ray/auth_token").write_text("a")
    prepare_to_join()
    assert os.environ.get("RAY_AUTH_MODE") == expected


def test_events_are_for_a_search_in_this_process():
    with pytest.raises(ValueError, match="--view events"):
        parse(["--view", "events", "--address", "http://h"])


def test_one_question_at_a_time(capsys):
    with pytest.raises(SystemExit):
        parse(["--status", "a", "--stop", "b"])
    assert "--stop: not allowed with argument --status" in capsys.readouterr().err
