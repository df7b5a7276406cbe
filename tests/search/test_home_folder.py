from __future__ import annotations

import os
import pwd

import pytest

from search.home_folder import check_home, user_name


def unknown(user_id):
    raise KeyError(f"getpwuid(): uid not found: {user_id}")


def test_a_user_id_that_the_machine_does_not_know_needs_home(monkeypatch):
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    monkeypatch.setenv("HOME", "/tmp")
    check_home()
    monkeypatch.delenv("HOME")
    with pytest.raises(ValueError, match="HOME is not set, and user id 12345 has no entry in the user database: set"):
        check_home()


def test_a_known_user_does_not(monkeypatch):
    monkeypatch.delenv("HOME", raising=False)
    check_home()


def test_a_user_without_a_name_has_an_id(monkeypatch):
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    assert user_name() == "user id 12345"
    monkeypatch.setenv("USER", "alice")
    assert user_name() == "alice"
